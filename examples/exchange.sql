-- Eight databases of a marketplace, with what such databases have: bit(1) for truth, unsigned numbers, zero
-- dates, texts in other character sets, and the same index names everywhere. About 90,000 rows. Idempotent.
SET SESSION sql_mode = '';

DROP DATABASE IF EXISTS exchange_trading;
CREATE DATABASE exchange_trading CHARACTER SET utf8mb4;
USE exchange_trading;
CREATE TABLE exchange_trading.t_deal (
	id                bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	company_id        int unsigned NOT NULL,
	title             varchar(200) CHARACTER SET latin1 NOT NULL,
	amount            decimal(20,4) NOT NULL,
	state             enum('open', 'won', 'lost') NOT NULL DEFAULT 'open',
	flags             set('hot', 'vip', 'old') NOT NULL DEFAULT '',
	active            bit(1) NOT NULL DEFAULT b'1',
	deleted           tinyint(1) NOT NULL DEFAULT 0,
	free_storage_days int,
	due               date,
	took              time(3),
	payload           longblob,
	details           json,
	created_at        timestamp(6) NOT NULL DEFAULT current_timestamp(6),
	updated_at        datetime(3),
	UNIQUE KEY ux_company_title (company_id, title),
	KEY ix_created (created_at)
);
INSERT INTO exchange_trading.t_deal (company_id, title, amount, state, flags, active, deleted, free_storage_days, due, took, payload, details, created_at, updated_at)
SELECT seq % 500, CONCAT('Größe ', seq), seq * 1.2345, 1 + seq % 3, seq % 8, seq % 2, seq % 7 = 0, IF(seq % 5 = 0, NULL, seq % 30),
	IF(seq % 11 = 0, '0000-00-00', DATE '2023-01-01' + INTERVAL seq % 900 DAY), SEC_TO_TIME(seq % 86400 + 0.005),
	REPEAT(UNHEX('00ff41'), seq % 20), CONCAT('{"n": ', seq, ', "ö": "ü"}'), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, NULL
FROM seq_1_to_8000;
CREATE TABLE exchange_trading.t_carrier (
	id                bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	company_id        int unsigned NOT NULL,
	title             varchar(200) CHARACTER SET latin1 NOT NULL,
	amount            decimal(20,4) NOT NULL,
	state             enum('open', 'won', 'lost') NOT NULL DEFAULT 'open',
	flags             set('hot', 'vip', 'old') NOT NULL DEFAULT '',
	active            bit(1) NOT NULL DEFAULT b'1',
	deleted           tinyint(1) NOT NULL DEFAULT 0,
	free_storage_days int,
	due               date,
	took              time(3),
	payload           longblob,
	details           json,
	created_at        timestamp(6) NOT NULL DEFAULT current_timestamp(6),
	updated_at        datetime(3),
	UNIQUE KEY ux_company_title (company_id, title),
	KEY ix_created (created_at)
);
INSERT INTO exchange_trading.t_carrier (company_id, title, amount, state, flags, active, deleted, free_storage_days, due, took, payload, details, created_at, updated_at)
SELECT seq % 500, CONCAT('Größe ', seq), seq * 1.2345, 1 + seq % 3, seq % 8, seq % 2, seq % 7 = 0, IF(seq % 5 = 0, NULL, seq % 30),
	IF(seq % 11 = 0, '0000-00-00', DATE '2023-01-01' + INTERVAL seq % 900 DAY), SEC_TO_TIME(seq % 86400 + 0.005),
	REPEAT(UNHEX('00ff41'), seq % 20), CONCAT('{"n": ', seq, ', "ö": "ü"}'), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, NULL
FROM seq_1_to_8000;
CREATE TABLE exchange_trading.t_tmp_import (
	id                bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	company_id        int unsigned NOT NULL,
	title             varchar(200) CHARACTER SET latin1 NOT NULL,
	amount            decimal(20,4) NOT NULL,
	state             enum('open', 'won', 'lost') NOT NULL DEFAULT 'open',
	flags             set('hot', 'vip', 'old') NOT NULL DEFAULT '',
	active            bit(1) NOT NULL DEFAULT b'1',
	deleted           tinyint(1) NOT NULL DEFAULT 0,
	free_storage_days int,
	due               date,
	took              time(3),
	payload           longblob,
	details           json,
	created_at        timestamp(6) NOT NULL DEFAULT current_timestamp(6),
	updated_at        datetime(3),
	UNIQUE KEY ux_company_title (company_id, title),
	KEY ix_created (created_at)
);
INSERT INTO exchange_trading.t_tmp_import (company_id, title, amount, state, flags, active, deleted, free_storage_days, due, took, payload, details, created_at, updated_at)
SELECT seq % 500, CONCAT('Größe ', seq), seq * 1.2345, 1 + seq % 3, seq % 8, seq % 2, seq % 7 = 0, IF(seq % 5 = 0, NULL, seq % 30),
	IF(seq % 11 = 0, '0000-00-00', DATE '2023-01-01' + INTERVAL seq % 900 DAY), SEC_TO_TIME(seq % 86400 + 0.005),
	REPEAT(UNHEX('00ff41'), seq % 20), CONCAT('{"n": ', seq, ', "ö": "ü"}'), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, NULL
FROM seq_1_to_8000;

DROP DATABASE IF EXISTS exchange_finance;
CREATE DATABASE exchange_finance CHARACTER SET utf8mb4;
USE exchange_finance;
CREATE TABLE exchange_finance.t_invoice (
	id                bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	company_id        int unsigned NOT NULL,
	title             varchar(200) CHARACTER SET latin1 NOT NULL,
	amount            decimal(20,4) NOT NULL,
	state             enum('open', 'won', 'lost') NOT NULL DEFAULT 'open',
	flags             set('hot', 'vip', 'old') NOT NULL DEFAULT '',
	active            bit(1) NOT NULL DEFAULT b'1',
	deleted           tinyint(1) NOT NULL DEFAULT 0,
	free_storage_days int,
	due               date,
	took              time(3),
	payload           longblob,
	details           json,
	created_at        timestamp(6) NOT NULL DEFAULT current_timestamp(6),
	updated_at        datetime(3),
	UNIQUE KEY ux_company_title (company_id, title),
	KEY ix_created (created_at)
);
INSERT INTO exchange_finance.t_invoice (company_id, title, amount, state, flags, active, deleted, free_storage_days, due, took, payload, details, created_at, updated_at)
SELECT seq % 500, CONCAT('Größe ', seq), seq * 1.2345, 1 + seq % 3, seq % 8, seq % 2, seq % 7 = 0, IF(seq % 5 = 0, NULL, seq % 30),
	IF(seq % 11 = 0, '0000-00-00', DATE '2023-01-01' + INTERVAL seq % 900 DAY), SEC_TO_TIME(seq % 86400 + 0.005),
	REPEAT(UNHEX('00ff41'), seq % 20), CONCAT('{"n": ', seq, ', "ö": "ü"}'), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, NULL
FROM seq_1_to_8000;
CREATE TABLE exchange_finance.t_account (
	id                bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	company_id        int unsigned NOT NULL,
	title             varchar(200) CHARACTER SET latin1 NOT NULL,
	amount            decimal(20,4) NOT NULL,
	state             enum('open', 'won', 'lost') NOT NULL DEFAULT 'open',
	flags             set('hot', 'vip', 'old') NOT NULL DEFAULT '',
	active            bit(1) NOT NULL DEFAULT b'1',
	deleted           tinyint(1) NOT NULL DEFAULT 0,
	free_storage_days int,
	due               date,
	took              time(3),
	payload           longblob,
	details           json,
	created_at        timestamp(6) NOT NULL DEFAULT current_timestamp(6),
	updated_at        datetime(3),
	UNIQUE KEY ux_company_title (company_id, title),
	KEY ix_created (created_at)
);
INSERT INTO exchange_finance.t_account (company_id, title, amount, state, flags, active, deleted, free_storage_days, due, took, payload, details, created_at, updated_at)
SELECT seq % 500, CONCAT('Größe ', seq), seq * 1.2345, 1 + seq % 3, seq % 8, seq % 2, seq % 7 = 0, IF(seq % 5 = 0, NULL, seq % 30),
	IF(seq % 11 = 0, '0000-00-00', DATE '2023-01-01' + INTERVAL seq % 900 DAY), SEC_TO_TIME(seq % 86400 + 0.005),
	REPEAT(UNHEX('00ff41'), seq % 20), CONCAT('{"n": ', seq, ', "ö": "ü"}'), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, NULL
FROM seq_1_to_8000;

DROP DATABASE IF EXISTS exchange_live;
CREATE DATABASE exchange_live CHARACTER SET utf8mb4;
USE exchange_live;
CREATE TABLE exchange_live.t_user (
	id                bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	company_id        int unsigned NOT NULL,
	title             varchar(200) CHARACTER SET latin1 NOT NULL,
	amount            decimal(20,4) NOT NULL,
	state             enum('open', 'won', 'lost') NOT NULL DEFAULT 'open',
	flags             set('hot', 'vip', 'old') NOT NULL DEFAULT '',
	active            bit(1) NOT NULL DEFAULT b'1',
	deleted           tinyint(1) NOT NULL DEFAULT 0,
	free_storage_days int,
	due               date,
	took              time(3),
	payload           longblob,
	details           json,
	created_at        timestamp(6) NOT NULL DEFAULT current_timestamp(6),
	updated_at        datetime(3),
	UNIQUE KEY ux_company_title (company_id, title),
	KEY ix_created (created_at)
);
INSERT INTO exchange_live.t_user (company_id, title, amount, state, flags, active, deleted, free_storage_days, due, took, payload, details, created_at, updated_at)
SELECT seq % 500, CONCAT('Größe ', seq), seq * 1.2345, 1 + seq % 3, seq % 8, seq % 2, seq % 7 = 0, IF(seq % 5 = 0, NULL, seq % 30),
	IF(seq % 11 = 0, '0000-00-00', DATE '2023-01-01' + INTERVAL seq % 900 DAY), SEC_TO_TIME(seq % 86400 + 0.005),
	REPEAT(UNHEX('00ff41'), seq % 20), CONCAT('{"n": ', seq, ', "ö": "ü"}'), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, NULL
FROM seq_1_to_8000;

DROP DATABASE IF EXISTS exchange_chat;
CREATE DATABASE exchange_chat CHARACTER SET utf8mb4;
USE exchange_chat;
CREATE TABLE exchange_chat.t_message (
	id                bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	company_id        int unsigned NOT NULL,
	title             varchar(200) CHARACTER SET latin1 NOT NULL,
	amount            decimal(20,4) NOT NULL,
	state             enum('open', 'won', 'lost') NOT NULL DEFAULT 'open',
	flags             set('hot', 'vip', 'old') NOT NULL DEFAULT '',
	active            bit(1) NOT NULL DEFAULT b'1',
	deleted           tinyint(1) NOT NULL DEFAULT 0,
	free_storage_days int,
	due               date,
	took              time(3),
	payload           longblob,
	details           json,
	created_at        timestamp(6) NOT NULL DEFAULT current_timestamp(6),
	updated_at        datetime(3),
	UNIQUE KEY ux_company_title (company_id, title),
	KEY ix_created (created_at)
);
INSERT INTO exchange_chat.t_message (company_id, title, amount, state, flags, active, deleted, free_storage_days, due, took, payload, details, created_at, updated_at)
SELECT seq % 500, CONCAT('Größe ', seq), seq * 1.2345, 1 + seq % 3, seq % 8, seq % 2, seq % 7 = 0, IF(seq % 5 = 0, NULL, seq % 30),
	IF(seq % 11 = 0, '0000-00-00', DATE '2023-01-01' + INTERVAL seq % 900 DAY), SEC_TO_TIME(seq % 86400 + 0.005),
	REPEAT(UNHEX('00ff41'), seq % 20), CONCAT('{"n": ', seq, ', "ö": "ü"}'), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, NULL
FROM seq_1_to_8000;

DROP DATABASE IF EXISTS exchange_performance;
CREATE DATABASE exchange_performance CHARACTER SET utf8mb4;
USE exchange_performance;
CREATE TABLE exchange_performance.t_metric (
	id                bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	company_id        int unsigned NOT NULL,
	title             varchar(200) CHARACTER SET latin1 NOT NULL,
	amount            decimal(20,4) NOT NULL,
	state             enum('open', 'won', 'lost') NOT NULL DEFAULT 'open',
	flags             set('hot', 'vip', 'old') NOT NULL DEFAULT '',
	active            bit(1) NOT NULL DEFAULT b'1',
	deleted           tinyint(1) NOT NULL DEFAULT 0,
	free_storage_days int,
	due               date,
	took              time(3),
	payload           longblob,
	details           json,
	created_at        timestamp(6) NOT NULL DEFAULT current_timestamp(6),
	updated_at        datetime(3),
	UNIQUE KEY ux_company_title (company_id, title),
	KEY ix_created (created_at)
);
INSERT INTO exchange_performance.t_metric (company_id, title, amount, state, flags, active, deleted, free_storage_days, due, took, payload, details, created_at, updated_at)
SELECT seq % 500, CONCAT('Größe ', seq), seq * 1.2345, 1 + seq % 3, seq % 8, seq % 2, seq % 7 = 0, IF(seq % 5 = 0, NULL, seq % 30),
	IF(seq % 11 = 0, '0000-00-00', DATE '2023-01-01' + INTERVAL seq % 900 DAY), SEC_TO_TIME(seq % 86400 + 0.005),
	REPEAT(UNHEX('00ff41'), seq % 20), CONCAT('{"n": ', seq, ', "ö": "ü"}'), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, NULL
FROM seq_1_to_8000;

DROP DATABASE IF EXISTS exchange_concontrol;
CREATE DATABASE exchange_concontrol CHARACTER SET utf8mb4;
USE exchange_concontrol;
CREATE TABLE exchange_concontrol.t_container (
	id                bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	company_id        int unsigned NOT NULL,
	title             varchar(200) CHARACTER SET latin1 NOT NULL,
	amount            decimal(20,4) NOT NULL,
	state             enum('open', 'won', 'lost') NOT NULL DEFAULT 'open',
	flags             set('hot', 'vip', 'old') NOT NULL DEFAULT '',
	active            bit(1) NOT NULL DEFAULT b'1',
	deleted           tinyint(1) NOT NULL DEFAULT 0,
	free_storage_days int,
	due               date,
	took              time(3),
	payload           longblob,
	details           json,
	created_at        timestamp(6) NOT NULL DEFAULT current_timestamp(6),
	updated_at        datetime(3),
	UNIQUE KEY ux_company_title (company_id, title),
	KEY ix_created (created_at)
);
INSERT INTO exchange_concontrol.t_container (company_id, title, amount, state, flags, active, deleted, free_storage_days, due, took, payload, details, created_at, updated_at)
SELECT seq % 500, CONCAT('Größe ', seq), seq * 1.2345, 1 + seq % 3, seq % 8, seq % 2, seq % 7 = 0, IF(seq % 5 = 0, NULL, seq % 30),
	IF(seq % 11 = 0, '0000-00-00', DATE '2023-01-01' + INTERVAL seq % 900 DAY), SEC_TO_TIME(seq % 86400 + 0.005),
	REPEAT(UNHEX('00ff41'), seq % 20), CONCAT('{"n": ', seq, ', "ö": "ü"}'), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, NULL
FROM seq_1_to_8000;

DROP DATABASE IF EXISTS exchange_claim;
CREATE DATABASE exchange_claim CHARACTER SET utf8mb4;
USE exchange_claim;
CREATE TABLE exchange_claim.t_claim (
	id                bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	company_id        int unsigned NOT NULL,
	title             varchar(200) CHARACTER SET latin1 NOT NULL,
	amount            decimal(20,4) NOT NULL,
	state             enum('open', 'won', 'lost') NOT NULL DEFAULT 'open',
	flags             set('hot', 'vip', 'old') NOT NULL DEFAULT '',
	active            bit(1) NOT NULL DEFAULT b'1',
	deleted           tinyint(1) NOT NULL DEFAULT 0,
	free_storage_days int,
	due               date,
	took              time(3),
	payload           longblob,
	details           json,
	created_at        timestamp(6) NOT NULL DEFAULT current_timestamp(6),
	updated_at        datetime(3),
	UNIQUE KEY ux_company_title (company_id, title),
	KEY ix_created (created_at)
);
INSERT INTO exchange_claim.t_claim (company_id, title, amount, state, flags, active, deleted, free_storage_days, due, took, payload, details, created_at, updated_at)
SELECT seq % 500, CONCAT('Größe ', seq), seq * 1.2345, 1 + seq % 3, seq % 8, seq % 2, seq % 7 = 0, IF(seq % 5 = 0, NULL, seq % 30),
	IF(seq % 11 = 0, '0000-00-00', DATE '2023-01-01' + INTERVAL seq % 900 DAY), SEC_TO_TIME(seq % 86400 + 0.005),
	REPEAT(UNHEX('00ff41'), seq % 20), CONCAT('{"n": ', seq, ', "ö": "ü"}'), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, NULL
FROM seq_1_to_8000;

DROP DATABASE IF EXISTS exchange_payment;
CREATE DATABASE exchange_payment CHARACTER SET utf8mb4;
USE exchange_payment;
CREATE TABLE exchange_payment.t_payment (
	id                bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	company_id        int unsigned NOT NULL,
	title             varchar(200) CHARACTER SET latin1 NOT NULL,
	amount            decimal(20,4) NOT NULL,
	state             enum('open', 'won', 'lost') NOT NULL DEFAULT 'open',
	flags             set('hot', 'vip', 'old') NOT NULL DEFAULT '',
	active            bit(1) NOT NULL DEFAULT b'1',
	deleted           tinyint(1) NOT NULL DEFAULT 0,
	free_storage_days int,
	due               date,
	took              time(3),
	payload           longblob,
	details           json,
	created_at        timestamp(6) NOT NULL DEFAULT current_timestamp(6),
	updated_at        datetime(3),
	UNIQUE KEY ux_company_title (company_id, title),
	KEY ix_created (created_at)
);
INSERT INTO exchange_payment.t_payment (company_id, title, amount, state, flags, active, deleted, free_storage_days, due, took, payload, details, created_at, updated_at)
SELECT seq % 500, CONCAT('Größe ', seq), seq * 1.2345, 1 + seq % 3, seq % 8, seq % 2, seq % 7 = 0, IF(seq % 5 = 0, NULL, seq % 30),
	IF(seq % 11 = 0, '0000-00-00', DATE '2023-01-01' + INTERVAL seq % 900 DAY), SEC_TO_TIME(seq % 86400 + 0.005),
	REPEAT(UNHEX('00ff41'), seq % 20), CONCAT('{"n": ', seq, ', "ö": "ü"}'), TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND, NULL
FROM seq_1_to_8000;
