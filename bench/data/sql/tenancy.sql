INSERT INTO groups (id, code, name, policy_version, created_at) VALUES (1, 'bench', '集团', 1, bench.before(1.2e8));

INSERT INTO brands (id, group_id, code, name, time_zone, currency, created_at)
SELECT id, 1, 'brand-' || id, '品牌 ' || id, 'Asia/Shanghai', 'CNY', bench.before(1.2e8) FROM generate_series(1, 5) AS id;

INSERT INTO dealers (id, group_id, brand_id, code, name, province, city, created_at)
SELECT dealer.id, 1, 1 + (dealer.id - 1) % 5, 'dealer-' || dealer.id, '经销商 ' || dealer.id, province, city, bench.before(1.1e8)
FROM generate_series(1, 200) AS dealer (id) JOIN bench.places AS place ON place.id = 1 + dealer.id % 20;

-- of the whole group, so that a fan of any brand can carry any of them
INSERT INTO tags (id, group_id, brand_id, category, name, kind, color, description, created_at)
SELECT id, 1, NULL, '类别 ' || 1 + id % 6, '标签 ' || id, bench.pick(id, 30, '{FACT,MODEL,STRATEGY}'), NULL, NULL, bench.before(1e8)
FROM generate_series(1, 60) AS id;
