-- The order funnel of a brand over its last natural days. The peers compute it from the orders each time.
CREATE SCHEMA IF NOT EXISTS bench_peers;

CREATE OR REPLACE FUNCTION bench_peers.order_funnel(brand_id bigint, days int)
RETURNS TABLE (day text, state text, order_count int, amount text) LANGUAGE sql STABLE AS $$
    SELECT to_char(counted.day, 'YYYY-MM-DD'), counted.state, counted.order_count, (total / 100)::numeric(20, 2)::text
    FROM (
        SELECT (placed_at AT TIME ZONE 'Asia/Shanghai')::date AS day, o.state, count(*)::int AS order_count,
            sum(o.amount) AS total
        FROM orders AS o
        WHERE o.brand_id = $1 AND placed_at >= (date '2026-06-01' - ($2 - 1))::timestamp AT TIME ZONE 'Asia/Shanghai'
        GROUP BY 1, 2
    ) AS counted
    ORDER BY 1, 2
$$;
