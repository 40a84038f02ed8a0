-- as the triggers of fan_tags keep them; every weight is written alike by PostgreSQL and by JSON
INSERT INTO fan_tag_lists (fan_id, group_id, brand_id, length, tags, weighed)
SELECT fan_id, min(group_id), min(brand_id), count(*),
    string_agg(chr(1) || mark || tag_id || chr(1), '' ORDER BY place),
    string_agg(
        chr(1) || mark || tag_id || chr(1) || weight || CASE WHEN weight = trunc(weight) THEN '.0' ELSE '' END,
        '' ORDER BY place
    )
FROM (
    SELECT *, CASE WHEN place = 1 THEN 'f' ELSE '' END AS mark
    FROM (
        SELECT *, row_number() OVER (PARTITION BY fan_id ORDER BY weight DESC, tag_id) AS place
        FROM fan_tags WHERE fan_id BETWEEN $1 AND $2
    ) AS placed
) AS marked
GROUP BY fan_id
