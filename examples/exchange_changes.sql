-- Changes to make while a pipeline of the examples reads the eight databases.
SET SESSION sql_mode = '';

START TRANSACTION;
UPDATE exchange_trading.t_deal SET amount = amount + 1, updated_at = now(3) WHERE id % 10 = 0;
DELETE FROM exchange_trading.t_deal WHERE id % 100 = 3;
UPDATE exchange_trading.t_deal SET id = id + 100000 WHERE id % 1000 = 5;
INSERT INTO exchange_trading.t_deal (company_id, title, amount, active, took) VALUES (900, 'neu', 5, b'0', '12:34:56.789');
COMMIT;

START TRANSACTION;
UPDATE exchange_finance.t_invoice SET amount = amount + 1, updated_at = now(3) WHERE id % 10 = 0;
DELETE FROM exchange_finance.t_invoice WHERE id % 100 = 3;
UPDATE exchange_finance.t_invoice SET id = id + 100000 WHERE id % 1000 = 5;
INSERT INTO exchange_finance.t_invoice (company_id, title, amount, active, took) VALUES (900, 'neu', 5, b'0', '12:34:56.789');
COMMIT;

START TRANSACTION;
UPDATE exchange_live.t_user SET amount = amount + 1, updated_at = now(3) WHERE id % 10 = 0;
DELETE FROM exchange_live.t_user WHERE id % 100 = 3;
UPDATE exchange_live.t_user SET id = id + 100000 WHERE id % 1000 = 5;
INSERT INTO exchange_live.t_user (company_id, title, amount, active, took) VALUES (900, 'neu', 5, b'0', '12:34:56.789');
COMMIT;

START TRANSACTION;
UPDATE exchange_chat.t_message SET amount = amount + 1, updated_at = now(3) WHERE id % 10 = 0;
DELETE FROM exchange_chat.t_message WHERE id % 100 = 3;
UPDATE exchange_chat.t_message SET id = id + 100000 WHERE id % 1000 = 5;
INSERT INTO exchange_chat.t_message (company_id, title, amount, active, took) VALUES (900, 'neu', 5, b'0', '12:34:56.789');
COMMIT;

START TRANSACTION;
UPDATE exchange_performance.t_metric SET amount = amount + 1, updated_at = now(3) WHERE id % 10 = 0;
DELETE FROM exchange_performance.t_metric WHERE id % 100 = 3;
UPDATE exchange_performance.t_metric SET id = id + 100000 WHERE id % 1000 = 5;
INSERT INTO exchange_performance.t_metric (company_id, title, amount, active, took) VALUES (900, 'neu', 5, b'0', '12:34:56.789');
COMMIT;

START TRANSACTION;
UPDATE exchange_concontrol.t_container SET amount = amount + 1, updated_at = now(3) WHERE id % 10 = 0;
DELETE FROM exchange_concontrol.t_container WHERE id % 100 = 3;
UPDATE exchange_concontrol.t_container SET id = id + 100000 WHERE id % 1000 = 5;
INSERT INTO exchange_concontrol.t_container (company_id, title, amount, active, took) VALUES (900, 'neu', 5, b'0', '12:34:56.789');
COMMIT;

START TRANSACTION;
UPDATE exchange_claim.t_claim SET amount = amount + 1, updated_at = now(3) WHERE id % 10 = 0;
DELETE FROM exchange_claim.t_claim WHERE id % 100 = 3;
UPDATE exchange_claim.t_claim SET id = id + 100000 WHERE id % 1000 = 5;
INSERT INTO exchange_claim.t_claim (company_id, title, amount, active, took) VALUES (900, 'neu', 5, b'0', '12:34:56.789');
COMMIT;

START TRANSACTION;
UPDATE exchange_payment.t_payment SET amount = amount + 1, updated_at = now(3) WHERE id % 10 = 0;
DELETE FROM exchange_payment.t_payment WHERE id % 100 = 3;
UPDATE exchange_payment.t_payment SET id = id + 100000 WHERE id % 1000 = 5;
INSERT INTO exchange_payment.t_payment (company_id, title, amount, active, took) VALUES (900, 'neu', 5, b'0', '12:34:56.789');
COMMIT;
