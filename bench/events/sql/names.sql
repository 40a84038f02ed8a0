INSERT INTO fan_name_parts (brand_id, part, fan_id, group_id)
SELECT DISTINCT fans.brand_id, substr(lower(fans.nickname COLLATE "C"), n, 12), fans.id, fans.group_id
FROM fans, LATERAL generate_series(1, char_length(fans.nickname) - 1) AS n
WHERE fans.id BETWEEN $1::bigint AND $2::bigint
