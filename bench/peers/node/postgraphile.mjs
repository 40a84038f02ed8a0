// PostGraphile on node:http: the amber preset with the two plugins its manual recommends for names and filters.
// NODE_ENV and GRAPHILE_ENV must both be "production": in development every plan is checked each time.
import { createServer } from "node:http";
import { PgSimplifyInflectionPreset } from "@graphile/simplify-inflection";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { jsonPgSmartTags } from "postgraphile/utils";
import { PostGraphileConnectionFilterPreset } from "postgraphile-plugin-connection-filter";

// The tables' foreign keys carry the tenant too and have no index of their own: these name the same relations by the
// columns that do, which is what PostGraphile needs to offer them and to join by one column.
const RELATIONS = jsonPgSmartTags({
  version: 1,
  config: {
    class: {
      fan_tags: {
        tags: {
          foreignKey: [
            "(fan_id) references fans (id)|@fieldName fan|@foreignFieldName tags",
            "(tag_id) references tags (id)|@fieldName tag",
          ],
        },
      },
      orders: { tags: { foreignKey: "(fan_id) references fans (id)|@fieldName fan|@foreignFieldName orders" } },
    },
  },
});
const instance = postgraphile({
  extends: [PostGraphileAmberPreset, PgSimplifyInflectionPreset, PostGraphileConnectionFilterPreset],
  plugins: [RELATIONS],
  pgServices: [
    makePgService({
      connectionString: process.env.DATABASE_URL,
      schemas: ["public", "bench_peers"],
      poolConfig: { max: 10 },
    }),
  ],
  grafserv: { graphqlPath: "/graphql", graphiql: false, watch: false },
});
const server = createServer();
await instance.createServ(grafserv).addTo(server);
server.listen(Number(process.env.PORT), "127.0.0.1");
