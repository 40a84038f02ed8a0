-- some fans are known well and some hardly; none carries more than 20 tags
INSERT INTO fan_tags (fan_id, tag_id, group_id, brand_id, count, weight, source, first_at, last_at)
SELECT fan.id, carried.tag_id, 1, bench.brand(fan.id), 1 + floor(bench.draw(carried.pair, 42) * 3)::int,
    round(bench.draw(carried.pair, 43)::numeric, 3)::double precision,
    bench.pick(carried.pair, 44, '{MANUAL,RULE,IMPORT,CAMPAIGN,MODEL,CHANNEL}'),
    bench.before(3.2e7 + 3.1e7 * bench.draw(carried.pair, 45)), bench.before(3.2e7 * bench.draw(carried.pair, 46))
FROM generate_series($1::bigint, $2::bigint) AS fan (id)
CROSS JOIN LATERAL (
    SELECT tag_id, fan.id * 100 + tag_id AS pair FROM bench.chances
    WHERE bench.draw(fan.id * 100 + tag_id, 40) < chance * (0.4 + 1.2 * bench.draw(fan.id, 41))
    ORDER BY tag_id LIMIT 20
) AS carried
