-- # The channels come in
-- Every channel lands in a schema of its own, in its own words. The table takes its columns from the file.
COPY web.customers FROM '{input}/web/customers.parquet' (FORMAT parquet);
COPY web.catalogue FROM '{input}/web/catalogue.parquet' (FORMAT parquet);
COPY web.orders FROM '{input}/web/orders.parquet' (FORMAT parquet);
COPY web.clickstream FROM '{input}/web/clickstream.parquet' (FORMAT parquet);
COPY web.chats FROM '{input}/web/chats.parquet' (FORMAT parquet);
COPY app.users FROM '{input}/app/users.parquet' (FORMAT parquet);
COPY app.items FROM '{input}/app/items.parquet' (FORMAT parquet);
COPY app.purchases FROM '{input}/app/purchases.parquet' (FORMAT parquet);
COPY app.taps FROM '{input}/app/taps.parquet' (FORMAT parquet);
COPY app.tickets FROM '{input}/app/tickets.parquet' (FORMAT parquet);
COPY social.profiles FROM '{input}/social/profiles.parquet' (FORMAT parquet);
COPY social.listings FROM '{input}/social/listings.parquet' (FORMAT parquet);
COPY social.shop_orders FROM '{input}/social/shop_orders.parquet' (FORMAT parquet);
COPY social.reactions FROM '{input}/social/reactions.parquet' (FORMAT parquet);
COPY social.messages FROM '{input}/social/messages.parquet' (FORMAT parquet);
COPY store.loyalty FROM '{input}/store/loyalty.parquet' (FORMAT parquet);
COPY store.assortment FROM '{input}/store/assortment.parquet' (FORMAT parquet);
COPY store.pos FROM '{input}/store/pos.parquet' (FORMAT parquet);
COPY store.kiosk FROM '{input}/store/kiosk.parquet' (FORMAT parquet);
COPY store.service_desk FROM '{input}/store/service_desk.parquet' (FORMAT parquet);

-- What the channels share: products, promotions, coupons, campaigns, and what is known of some households.
COPY shop.products FROM '{input}/shop/products.parquet' (FORMAT parquet);
COPY shop.promotions FROM '{input}/shop/promotions.parquet' (FORMAT parquet);
COPY shop.coupons FROM '{input}/shop/coupons.parquet' (FORMAT parquet);
COPY shop.coupon_redemptions FROM '{input}/shop/coupon_redemptions.parquet' (FORMAT parquet);
COPY shop.campaigns FROM '{input}/shop/campaigns.parquet' (FORMAT parquet);
COPY shop.campaign_descriptions FROM '{input}/shop/campaign_descriptions.parquet' (FORMAT parquet);
COPY shop.demographics FROM '{input}/shop/demographics.parquet' (FORMAT parquet);

-- Which account belongs to which household. Nothing but the scoring below reads it.
COPY truth.accounts FROM '{input}/truth/accounts.parquet' (FORMAT parquet);

-- A file that was loaded is not loaded twice: this one adds no row.
COPY web.orders FROM '{input}/web/orders.parquet' (FORMAT parquet);

-- # One contract over four channels
-- Each channel's mapping file says which expressions over its tables give the contracts' columns.
-- contracts
SELECT channel, count(*) AS lines, count(DISTINCT basket_id) AS baskets, sum(amount) AS amount,
       min(occurred_at) AS first_at, max(occurred_at) AS last_at
FROM transactions
GROUP BY channel
ORDER BY channel;

-- The same people, as they typed themselves into four systems.
SELECT channel, account_id, first_name, last_name, email, phone, loyalty_id
FROM customers
WHERE last_name ILIKE 'o''brien%'
ORDER BY lower(first_name), channel, account_id
LIMIT 8;

-- # Accounts become customers
-- Accounts that share a card number, a mailbox or a telephone number are one customer. Values that too many accounts
-- share link nothing, no customer may hold two card numbers, and none has more than twelve accounts.
CREATE TABLE customer_links AS
SELECT *
FROM fusion.stitch(
    (SELECT channel, account_id, loyalty_id, email_norm(email) AS email, phone_e164(phone) AS phone FROM customers),
    key => 'channel, account_id',
    ids => 'loyalty_id, email, phone',
    max_records_per_value => 20,
    max_records_per_entity => 12,
    max_values => 'loyalty_id:1');

SELECT count(*) AS accounts, count(DISTINCT unified_id) AS customers, max(cluster_size) AS largest
FROM customer_links;

-- What joined them.
SELECT coalesce(match_key, '(nothing: first or only account)') AS joined_by, count(*) AS accounts
FROM customer_links
GROUP BY match_key
ORDER BY accounts DESC, joined_by;

-- How right that is, against the households that the accounts were made for.
SELECT metric, CAST(value AS numeric(12,4)) AS value
FROM fusion.evaluate(
    customer_links,
    truth => truth.accounts,
    key => 'channel, account_id',
    cluster => 'unified_id',
    truth_cluster => 'household_id');

-- # What one customer is worth, over all channels
CREATE TABLE purchases AS
SELECT l.unified_id, t.channel, t.basket_id, t.product_id, t.quantity, t.amount, t.occurred_at
FROM transactions AS t
JOIN customer_links AS l ON l.channel = t.channel AND l.account_id = t.account_id;

SELECT unified_id,
       sum(amount) AS amount,
       sum(amount) FILTER (WHERE channel = 'web') AS web,
       sum(amount) FILTER (WHERE channel = 'app') AS app,
       sum(amount) FILTER (WHERE channel = 'social') AS social,
       sum(amount) FILTER (WHERE channel = 'store') AS store
FROM purchases
GROUP BY unified_id
ORDER BY amount DESC, unified_id
LIMIT 5;

-- In how many channels customers buy, and what difference that makes.
SELECT channels, count(*) AS customers, CAST(avg(amount) AS numeric(12,2)) AS mean_amount
FROM (SELECT unified_id, count(DISTINCT channel) AS channels, sum(amount) AS amount
      FROM purchases GROUP BY unified_id) AS c
GROUP BY channels
ORDER BY channels;

-- # Recommendations
-- A model is a table. This one factorizes who bought what how often, over all channels, until the end of November.
CREATE TABLE recs_model AS
SELECT *
FROM ml.train('als',
    (SELECT unified_id, product_id, count(DISTINCT basket_id) AS baskets
     FROM purchases
     WHERE occurred_at < TIMESTAMPTZ '2017-12-01 00:00:00+00'
     GROUP BY unified_id, product_id),
    user_id => 'unified_id', item_id => 'product_id', weight => 'baskets',
    factors => 32, seed => 1);

-- What to show the best customers next: five products each that they have not bought yet.
SELECT r.unified_id, r.rank, p.product_type, p.package_size, CAST(r.score AS numeric(12,3)) AS score
FROM ml.recommend('recs_model',
    users => (SELECT unified_id FROM purchases GROUP BY unified_id ORDER BY sum(amount) DESC, unified_id LIMIT 2),
    k => 5) AS r
JOIN shop.products AS p ON CAST(p.product_id AS text) = r.product_id
ORDER BY r.unified_id, r.rank;

-- Does it hit? The truth is what customers bought in December for the first time.
CREATE VIEW december AS
SELECT DISTINCT unified_id, product_id
FROM purchases AS p
WHERE occurred_at >= TIMESTAMPTZ '2017-12-01 00:00:00+00'
  AND NOT EXISTS (SELECT 1 FROM purchases AS b
                  WHERE b.unified_id = p.unified_id AND b.product_id = p.product_id
                    AND b.occurred_at < TIMESTAMPTZ '2017-12-01 00:00:00+00');

SELECT metric, k, CAST(value AS numeric(12,4)) AS value, CAST(ci_low AS numeric(12,4)) AS ci_low, CAST(ci_high AS numeric(12,4)) AS ci_high, users
FROM ml.evaluate_ranking(
    (SELECT * FROM ml.recommend('recs_model', k => 20)),
    truth => december,
    user_id => 'unified_id', item_id => 'product_id', k => ARRAY[10])
WHERE metric IN ('precision_at_k', 'recall_at_k', 'ndcg_at_k', 'hit_rate_at_k')
ORDER BY metric;

-- The same for a list of best sellers, without what the customer has already: the least a model must beat.
-- With 400 households the intervals overlap; with all of them (--full) they do not.
SELECT metric, k, CAST(value AS numeric(12,4)) AS value, CAST(ci_low AS numeric(12,4)) AS ci_low, CAST(ci_high AS numeric(12,4)) AS ci_high, users
FROM ml.evaluate_ranking(
    (WITH before AS (
         SELECT unified_id, product_id FROM purchases
         WHERE occurred_at < TIMESTAMPTZ '2017-12-01 00:00:00+00'
         GROUP BY unified_id, product_id),
     best AS (
         SELECT product_id, count(*) AS customers FROM before
         GROUP BY product_id ORDER BY customers DESC, product_id LIMIT 300)
     SELECT u.unified_id, b.product_id,
            row_number() OVER (PARTITION BY u.unified_id ORDER BY b.customers DESC, b.product_id) AS rank
     FROM (SELECT DISTINCT unified_id FROM before) AS u
     CROSS JOIN best AS b
     LEFT JOIN before AS s ON s.unified_id = u.unified_id AND s.product_id = b.product_id
     WHERE s.product_id IS NULL),
    truth => december,
    user_id => 'unified_id', item_id => 'product_id', k => ARRAY[10])
WHERE metric IN ('precision_at_k', 'recall_at_k', 'ndcg_at_k', 'hit_rate_at_k')
ORDER BY metric;

-- # Segments
-- How recently, how often and for how much each customer bought, and how widely.
CREATE TABLE customer_features AS
SELECT unified_id,
       (extract(epoch FROM TIMESTAMPTZ '2018-01-02 00:00:00+00') - extract(epoch FROM max(occurred_at))) / 86400 AS recency_days,
       ln(count(DISTINCT channel || basket_id)) AS log_baskets,
       ln(1 + CAST(sum(amount) AS double precision)) AS log_amount,
       CAST(count(DISTINCT channel) AS double precision) AS channels
FROM purchases
GROUP BY unified_id;

CREATE TABLE customer_segments AS
SELECT *
FROM ml.kmeans(customer_features,
    features => 'recency_days, log_baskets, log_amount, channels',
    k => 4, standardize => 'zscore', n_init => 5, seed => 1);

SELECT cluster_id, count(*) AS customers,
       CAST(avg(recency_days) AS numeric(12,1)) AS recency_days,
       CAST(avg(exp(log_baskets)) AS numeric(12,1)) AS baskets,
       CAST(avg(exp(log_amount) - 1) AS numeric(12,2)) AS amount,
       CAST(avg(channels) AS numeric(12,2)) AS channels
FROM customer_segments
GROUP BY cluster_id
ORDER BY amount DESC;

-- # A matrix small enough to check by hand
-- Five customers, three products, two factors: the squares of what the factors leave over add up to exactly 1.
CREATE VIEW ratings (customer, product, value) AS
VALUES ('a', 'y', 1.0), ('b', 'z', 2.0), ('c', 'x', 1.0),
       ('d', 'x', 1.0), ('d', 'y', 2.0), ('d', 'z', 1.0), ('e', 'z', 1.0);

SELECT component, CAST(value AS numeric(12,9)) AS singular_value,
       CAST((SELECT sum(value * value) FROM ratings) - sum(value * value) OVER (ORDER BY component) AS numeric(12,9)) AS left_over
FROM ml.svd(ratings, row_id => 'customer', column_id => 'product', value => 'value', k => 2)
WHERE side = 'sigma'
ORDER BY component;
