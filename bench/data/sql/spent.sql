-- what the product keeps on the fan, recomputed from the orders in the states $1 as it does
INSERT INTO bench.spent
SELECT fan_id, count(*) FILTER (WHERE state = ANY ($1::text[])),
    coalesce(sum(amount) FILTER (WHERE state = ANY ($1::text[])), 0),
    max(placed_at) FILTER (WHERE state = ANY ($1::text[])), min(placed_at)
FROM orders GROUP BY fan_id
