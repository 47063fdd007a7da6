-- Changes to make while a pipeline of the examples runs: every kind that there is.
\set ON_ERROR_STOP on

-- Many small transactions.
DO $$
BEGIN
	FOR i IN 1..200 LOOP
		INSERT INTO shop.orders (customer_id, status, amount, placed_at)
		VALUES (i, 'placed', 150 + i, now());
		UPDATE shop.orders SET status = 'paid', express = NOT express WHERE id = i * 37;
		COMMIT;
	END LOOP;
END $$;

-- One larger one, part of it rolled back.
BEGIN;
UPDATE shop.orders SET amount = amount + 1 WHERE id % 20 = 0;
SAVEPOINT oops;
DELETE FROM shop.orders WHERE id % 2 = 0;
ROLLBACK TO oops;
DELETE FROM shop.order_items WHERE order_id % 100 = 0;
COMMIT;

-- A key that changes while a large value stays where it is.
UPDATE shop.products SET sku = 'NEW-' || sku WHERE sku LIKE 'SKU-0000%';
UPDATE shop.products SET price = price * 2 WHERE sku LIKE 'SKU-001%';

-- Two customers swap a unique value.
BEGIN;
UPDATE shop.customers SET email = 'swap@shop.example' WHERE id = 1;
UPDATE shop.customers SET email = 'user1@shop.example' WHERE id = 2;
UPDATE shop.customers SET email = 'user2@shop.example' WHERE id = 1;
COMMIT;

INSERT INTO shop.audit_log (message) VALUES ('changes made');
TRUNCATE shop.sessions;
INSERT INTO shop.sessions SELECT FROM generate_series(1, 10);
