-- a fifth of the fans does most; the newest days have most of what they did
INSERT INTO events (id, group_id, brand_id, fan_id, name, occurred_at, received_at, clamped, content, campaign, properties)
SELECT event.id, 1, bench.brand(who.fan_id), who.fan_id,
    bench.pick(event.id, 51, '{h5_view,h5_view,h5_view,product_view,product_view,scan,article_read,sign_in,favourite,h5_share}'),
    known.at, known.at, false,
    'content-' || 1 + floor(bench.draw(event.id, 52) * 500), 'campaign-' || 1 + floor(bench.draw(event.id, 53) * 20),
    jsonb_build_object('page', event.id % 100, 'from', 'menu')
FROM generate_series($1::bigint, $2::bigint) AS event (id)
CROSS JOIN LATERAL (SELECT 1 + floor($3::bigint * bench.draw(event.id, 50) ^ 3)::bigint AS fan_id) AS who
CROSS JOIN LATERAL (
    SELECT $4::timestamptz - interval '1 second' * (86400 * 90 * bench.draw(event.id, 54) ^ 1.5) AS at
) AS known
