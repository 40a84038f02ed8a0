INSERT INTO fan_activity (fan_id, group_id, brand_id, last_active_at)
SELECT fan_id, 1, min(brand_id), date_trunc('minute', max(occurred_at), 'UTC')
FROM events WHERE fan_id BETWEEN $1::bigint AND $2::bigint GROUP BY 1
