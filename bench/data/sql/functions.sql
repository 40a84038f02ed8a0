-- What every row is drawn from: a hash of its id and of a number that says which draw it is, so that rows do not
-- depend on the order they are made in. Dropped again when the tables are full.
CREATE SCHEMA bench;

CREATE FUNCTION bench.draw(row_id bigint, salt bigint) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (hashint8extended(row_id, salt) & 9007199254740991)::double precision / 9007199254740992 $$;

CREATE FUNCTION bench.pick(row_id bigint, salt bigint, choices text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT choices[1 + floor(bench.draw(row_id, salt) * cardinality(choices))::int] $$;

-- 200 dealers in 5 brands; few dealers have most fans (Pareto)
CREATE FUNCTION bench.dealer(fan_id bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT 1 + least(floor(((1 - bench.draw(fan_id, 1)) ^ (-1 / 1.2) - 1) * 18), 199)::bigint $$;

CREATE FUNCTION bench.brand(fan_id bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT 1 + (bench.dealer(fan_id) - 1) % 5 $$;

CREATE FUNCTION bench.before(seconds double precision) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT timestamptz '2026-06-01 00:00+00' - interval '1 second' * seconds $$;

CREATE TABLE bench.places (id int PRIMARY KEY, province text, city text);
INSERT INTO bench.places SELECT number, province, city
FROM unnest(
    ARRAY['上海', '北京', '广东', '广东', '浙江', '四川', '湖北', '陕西', '江苏', '重庆',
          '江苏', '天津', '湖南', '河南', '山东', '浙江', '广东', '安徽', '广东', NULL],
    ARRAY['上海', '北京', '广州', '深圳', '杭州', '成都', '武汉', '西安', '南京', '重庆',
          '苏州', '天津', '长沙', '郑州', '青岛', '宁波', '东莞', '合肥', '佛山', NULL]
) WITH ORDINALITY AS places (province, city, number);

-- how likely a fan carries a tag: Zipf with exponent 0.8, about eight a fan
CREATE TABLE bench.chances (tag_id bigint PRIMARY KEY, chance double precision NOT NULL);
INSERT INTO bench.chances
SELECT number, least(0.75, 8.5 * number ^ -0.8 / sum(number ^ -0.8) OVER ()) FROM generate_series(1, 60) AS number;

CREATE TABLE bench.spent (
    fan_id bigint PRIMARY KEY, order_count int NOT NULL, spend bigint NOT NULL, last_order_at timestamptz, first_at timestamptz
);
