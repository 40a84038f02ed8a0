INSERT INTO event_counts (fan_id, name, day, group_id, brand_id, count)
SELECT fan_id, name, (occurred_at AT TIME ZONE 'Asia/Shanghai')::date, 1, min(brand_id), count(*)
FROM events WHERE fan_id BETWEEN $1::bigint AND $2::bigint GROUP BY 1, 2, 3
