-- one earnPoints as the service writes it, in one statement; one in fifty sends its client's last key again
\set again random(1, 50)
\if :again > 1
\set number :number + 1
\endif
\set fan random(1, :fans)
WITH asked AS (SELECT :run || '-' || :client_id || '-' || :number AS key),
claimed AS (
    INSERT INTO idempotency (principal, mutation, key, group_id, request_hash, response, created_at)
    SELECT 'bench', 'earnPoints', key, 1, sha256(key::bytea), '{"grant": 1, "balance": 1, "growth": 3}', now() FROM asked
    ON CONFLICT DO NOTHING RETURNING key
),
account AS (
    UPDATE point_accounts SET spendable = spendable + 1, growth = growth + 3
    WHERE fan_id = :fan AND NOT former AND EXISTS (SELECT FROM claimed)
    RETURNING id, fan_id, spendable + debt AS balance, growth, 'call:' || md5((SELECT key FROM asked)) AS source
),
granted AS (
    INSERT INTO point_grants (group_id, brand_id, fan_id, rule_id, rule_version, source, event, occurred_at, day,
                              desired_points, desired_growth, granted_points, granted_growth, taken_points,
                              taken_growth, created_at)
    SELECT 1, 1, fan_id, 1, 1, source, 'post', now(), current_date, 1, 3, 1, 3, 0, 0, now() FROM account
),
counted AS (
    INSERT INTO point_counters AS old (fan_id, rule_id, period, starts_on, group_id, brand_id, times, points, growth)
    SELECT fan_id, 1, period, starts_on, 1, 1, 1, 1, 3 FROM account
    CROSS JOIN (
        VALUES ('DAY', current_date), ('MONTH', date_trunc('month', now())::date), ('EVER', '1970-01-01'::date)
    ) AS span (period, starts_on)
    ON CONFLICT (fan_id, rule_id, period, starts_on) DO UPDATE
    SET times = old.times + 1, points = old.points + 1, growth = old.growth + 3
),
transfer AS (
    INSERT INTO point_transfers (group_id, brand_id, account_id, kind, source, points, growth, balance, growth_balance,
                                 reason, actor, rule_id, reference, request_key, occurred_at, recorded_at)
    SELECT 1, 1, id, 'EARN', source, 1, 3, balance, growth, 'post', 'bench', 1, 'PointRule-1',
        (SELECT key FROM asked), now(), now() FROM account
    RETURNING id, account_id
),
entries AS (
    INSERT INTO point_entries (transfer_id, kind, group_id, brand_id, amount)
    SELECT transfer.id, kind, 1, 1, amount FROM transfer
    CROSS JOIN (VALUES ('SPENDABLE', 1), ('ISSUED', -1), ('GROWTH', 3), ('GROWTH_ISSUED', -3)) AS side (kind, amount)
),
noted AS (
    INSERT INTO audit_log (group_id, brand_id, principal, action, subject, detail, at)
    SELECT 1, 1, 'bench', 'points-earn', 'Fan:' || fan_id, '{"rule": 1, "points": 1, "growth": 3}', now() FROM account
)
INSERT INTO point_lots (group_id, brand_id, account_id, transfer_id, granted, remaining, granted_at)
SELECT 1, 1, account_id, id, 1, 1, now() FROM transfer;
