-- one earn as the ledger writes it, in one statement; one in fifty sends its client's last key again
\set again random(1, 50)
\if :again > 1
\set number :number + 1
\endif
\set fan random(1, :fans)
WITH known AS (SELECT FROM point_transfers WHERE brand_id = 1 AND source = :run || '-' || :client_id || '-' || :number),
account AS (
    UPDATE point_accounts SET spendable = spendable + 1, growth = growth + 3
    WHERE fan_id = :fan AND NOT former AND NOT EXISTS (SELECT FROM known)
    RETURNING id, spendable + debt AS balance, growth
),
transfer AS (
    INSERT INTO point_transfers (group_id, brand_id, account_id, kind, source, points, growth, balance, growth_balance,
                                 reason, actor, rule_id, reference, request_key, occurred_at, recorded_at)
    SELECT 1, 1, id, 'EARN', :run || '-' || :client_id || '-' || :number, 1, 3, balance, growth,
        'post', 'bench', 1, 'PointRule-1', :client_id || '-' || :number, now(), now() FROM account
    RETURNING id, account_id
),
entries AS (
    INSERT INTO point_entries (transfer_id, kind, group_id, brand_id, amount)
    SELECT transfer.id, kind, 1, 1, amount FROM transfer
    CROSS JOIN (VALUES ('SPENDABLE', 1), ('ISSUED', -1), ('GROWTH', 3), ('GROWTH_ISSUED', -3)) AS side (kind, amount)
)
INSERT INTO point_lots (group_id, brand_id, account_id, transfer_id, granted, remaining, granted_at)
SELECT 1, 1, account_id, id, 1, 1, now() FROM transfer;
