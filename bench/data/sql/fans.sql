INSERT INTO fans (id, group_id, brand_id, person_id, dealer_id, nickname, gender, province, city, district, language,
                  subscribed, followed_at, order_count, spend, currency, last_order_at, version, created_at, updated_at)
SELECT fan.id, 1, bench.brand(fan.id), fan.id, bench.dealer(fan.id),
    -- some are without a name, and some have one that JSON must escape
    CASE WHEN fan.id % 53 = 0 THEN NULL WHEN fan.id % 97 = 0 THEN E'茶"友\\' || fan.id || E'\t🍵' ELSE '粉丝' || fan.id END,
    bench.pick(fan.id, 20, '{UNKNOWN,FEMALE,FEMALE,FEMALE,FEMALE,FEMALE,MALE,MALE,MALE,MALE}'),
    place.province, place.city,
    CASE WHEN place.city IS NOT NULL AND bench.draw(fan.id, 21) < 0.8 THEN '第' || 1 + floor(bench.draw(fan.id, 22) * 12) || '区' END,
    'zh_CN', bench.draw(fan.id, 23) < 0.7, known.since, coalesce(spent.order_count, 0), coalesce(spent.spend, 0), 'CNY',
    spent.last_order_at, 1, known.since, coalesce(spent.last_order_at, known.since)
FROM generate_series($1::bigint, $2::bigint) AS fan (id)
-- the first places have most fans
JOIN bench.places AS place ON place.id = 1 + floor(20 * bench.draw(fan.id, 24) ^ 1.7)::int
LEFT JOIN bench.spent AS spent ON spent.fan_id = fan.id
CROSS JOIN LATERAL (
    SELECT least(bench.before(86400 * 1095 * bench.draw(fan.id, 25) ^ 1.5), spent.first_at) AS since
) AS known
ORDER BY fan.id
