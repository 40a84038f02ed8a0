// What a good hand writes on Node: fastify, mercurius with graphql-jit from the first request on, loaders that batch,
// pg with prepared statements. Its schema is ours, as far as the queries need it, with plain numbers for ids.
import DataLoader from "dataloader";
import Fastify from "fastify";
import mercurius from "mercurius";
import pg from "pg";

pg.types.setTypeParser(pg.types.builtins.INT8, Number);
pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => text);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
const rows = async (name, text, values) => (await pool.query({ name, text, values })).rows;

const FAN = `id, brand_id, nickname, gender, province, city, district, subscribed, order_count AS "orderCount",
  created_at AS "createdAt"`;
const ONE_FAN = `SELECT ${FAN} FROM fans WHERE id = $1`;
const FANS = `SELECT ${FAN} FROM fans WHERE brand_id = $1 AND id > $2 ORDER BY id LIMIT $3`;
const TAGS = `SELECT carried.fan_id, tags.name, carried.weight FROM fan_tags AS carried
  JOIN tags ON tags.id = carried.tag_id WHERE carried.fan_id = ANY ($1::bigint[])
  ORDER BY carried.fan_id, carried.weight DESC, carried.tag_id`;
const LAST_ORDERS = `SELECT newest.* FROM unnest($1::bigint[]) AS fan (id) CROSS JOIN LATERAL (
  SELECT fan_id, id, number, state, amount FROM orders WHERE fan_id = fan.id
  ORDER BY placed_at DESC, id DESC LIMIT $2) AS newest`;
const FUNNEL = `SELECT day, state, order_count AS "orderCount", amount FROM bench_peers.order_funnel($1, $2)`;

const schema = `
  type Tag { name: String! weight: Float! }
  type Money { amount: String! }
  type Order { id: ID! number: String! state: String! amount: Money! }
  type Fan {
    id: ID! nickname: String gender: String! province: String city: String district: String subscribed: Boolean!
    orderCount: Int! createdAt: String! tags: [Tag!]! lastOrders(first: Int! = 3): [Order!]!
  }
  type FanConnection { nodes: [Fan!]! }
  type FunnelRow { day: String! state: String! orderCount: Int! amount: String! }
  input FanFilter { brandId: ID! }
  type Query {
    fan(id: ID!): Fan
    fans(first: Int!, after: String, filter: FanFilter!): FanConnection!
    orderFunnel(brandId: ID!, days: Int!): [FunnelRow!]!
  }`;

const resolvers = {
  Query: {
    fan: async (_, { id }) => (await rows("fan", ONE_FAN, [id]))[0],
    fans: async (_, { first, after, filter }) => ({
      nodes: await rows("fans", FANS, [filter.brandId, after ?? 0, first]),
    }),
    orderFunnel: (_, { brandId, days }) => rows("funnel", FUNNEL, [brandId, days]),
  },
  Fan: {
    tags: (fan, _, context) => context.tags.load(fan.id),
    lastOrders: (fan, { first }, context) => context.lastOrders(first).load(fan.id),
  },
  Order: { amount: (order) => ({ amount: (order.amount / 100).toFixed(2) }) },
};

const byFan = (ids, found) => {
  const lists = new Map(ids.map((id) => [id, []]));
  for (const row of found) lists.get(row.fan_id).push(row);
  return ids.map((id) => lists.get(id));
};
const context = () => {
  const orders = new Map();
  return {
    tags: new DataLoader(async (ids) => byFan(ids, await rows("tags", TAGS, [ids]))),
    lastOrders: (first) => {
      if (!orders.has(first)) {
        orders.set(first, new DataLoader(async (ids) => byFan(ids, await rows("orders", LAST_ORDERS, [ids, first]))));
      }
      return orders.get(first);
    },
  };
};

const app = Fastify();
app.register(mercurius, { schema, resolvers, context, jit: 1, graphiql: false });
await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
