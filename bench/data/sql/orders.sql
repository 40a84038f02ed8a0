-- in the order they were placed; $3 orders of $4 fans, of whom a few have most orders, scattered over all ids
INSERT INTO orders (id, group_id, brand_id, fan_id, dealer_id, source, number, state, amount, currency, item_count,
                    placed_at, version, created_at, updated_at)
SELECT id, 1, bench.brand(fan_id), fan_id, bench.dealer(fan_id), 'mall', 'M' || lpad(id::text, 10, '0'),
    CASE WHEN dice < 0.05 THEN 'CREATED' WHEN dice < 0.15 THEN 'PAID' WHEN dice < 0.23 THEN 'SHIPPED'
         WHEN dice < 0.30 THEN 'RECEIVED' WHEN dice < 0.85 THEN 'COMPLETED' WHEN dice < 0.95 THEN 'CANCELLED'
         ELSE 'REFUNDED' END,
    990 + floor(-ln(1 - bench.draw(id, 11)) * 25000)::bigint, 'CNY', 1 + floor(bench.draw(id, 12) * 4)::int,
    placed_at, 1, placed_at, placed_at
FROM (
    SELECT id, bench.draw(id, 10) AS dice,
        bench.before(86400 * 730 * (($3::bigint - id + bench.draw(id, 13)) / $3::bigint) ^ 1.3) AS placed_at,
        1 + floor($4::bigint * bench.draw(id, 14) ^ 1.6)::bigint * 611953 % $4::bigint AS fan_id
    FROM generate_series($1::bigint, $2::bigint) AS id
) AS drawn
