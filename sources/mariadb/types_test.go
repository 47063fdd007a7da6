package mariadb

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// contract is the type contract: column type, value in SQL, and what it becomes.
var contract = []struct{ typ, sql, kind, text string }{
	{"tinyint", "-128", "int", "-128"},
	{"tinyint unsigned", "255", "int", "255"},
	{"tinyint(1)", "2", "int", "2"},
	{"smallint", "-32768", "int", "-32768"},
	{"smallint unsigned", "65535", "int", "65535"},
	{"mediumint", "-8388608", "int", "-8388608"},
	{"mediumint unsigned", "16777215", "int", "16777215"},
	{"int", "-2147483648", "int", "-2147483648"},
	{"int unsigned", "4294967295", "int", "4294967295"},
	{"int(8) unsigned zerofill", "42", "int", "42"},
	{"bigint", "-9223372036854775808", "int", "-9223372036854775808"},
	{"bigint unsigned", "18446744073709551615", "uint", "18446744073709551615"},
	{"bit(1)", "b'1'", "bool", "true"},
	{"bit(1)", "b'0'", "bool", "false"},
	{"bit(10)", "b'1000000001'", "bits", "1000000001"},
	{"bit(64)", "~0", "bits", strings.Repeat("1", 64)},
	{"decimal(65,30)", "-12345678901234567890123456789012345.123456789012345678901234567890", "decimal",
		"-12345678901234567890123456789012345.123456789012345678901234567890"},
	{"decimal(3,3)", "0.007", "decimal", "0.007"},
	{"decimal(10,0)", "0", "decimal", "0"},
	{"decimal(10,2)", "-0.5", "decimal", "-0.50"},
	{"decimal(12,4) zerofill", "12.5", "decimal", "12.5000"},
	{"decimal(18,9)", "123456789.987654321", "decimal", "123456789.987654321"},
	{"float", "0.1", "float32", "0.1"},
	{"float", "16777217", "float32", "1.6777216e+07"},
	{"float(7,3)", "-1234.5678", "float32", "-1234.568"},
	{"double", "-1.7976931348623157e308", "float64", "-1.7976931348623157e+308"},
	{"double", "0.1", "float64", "0.1"},
	{"double", "5e-324", "float64", "5e-324"},
	{"double(10,3)", "1.23456", "float64", "1.2349999999999999"}, // what the server stores
	{"year", "1901", "int", "1901"},
	{"year", "0", "int", "0"},
	{"date", "'2024-02-29'", "date", "2024-02-29"},
	{"date", "'9999-12-31'", "date", "9999-12-31"},
	{"time", "'13:14:15'", "time", "13:14:15"},
	{"time", "'-838:59:59'", "other", "-838:59:59"},
	{"time(6)", "'-00:00:00.000001'", "other", "-00:00:00.000001"},
	{"time(6)", "'838:59:59.999999'", "other", "838:59:59.999999"},
	{"time(3)", "'-12:13:14.5'", "other", "-12:13:14.5"},
	{"time(1)", "'23:59:59.9'", "time", "23:59:59.9"},
	{"time", "'24:00:00'", "time", "24:00:00"},
	{"datetime", "'1000-01-01 00:00:00'", "timestamp", "1000-01-01 00:00:00"},
	{"datetime(6)", "'9999-12-31 23:59:59.999999'", "timestamp", "9999-12-31 23:59:59.999999"},
	{"datetime(1)", "'2024-02-29 13:14:15.1'", "timestamp", "2024-02-29 13:14:15.1"},
	{"datetime(3)", "'2024-02-29 13:14:15.123'", "timestamp", "2024-02-29 13:14:15.123"},
	{"timestamp", "'2024-02-29 13:14:15'", "timestamptz", "2024-02-29 13:14:15+00"},
	{"timestamp(6)", "'2038-01-19 03:14:07.999999'", "timestamptz", "2038-01-19 03:14:07.999999+00"},
	{"timestamp(2)", "'1970-01-01 00:00:01.25'", "timestamptz", "1970-01-01 00:00:01.25+00"},
	{"date", "'0000-00-00'", "null", "null"},
	{"datetime(3)", "'0000-00-00'", "null", "null"},
	{"timestamp", "0", "null", "null"},
	{"date", "'2024-02-00'", "null", "null"},
	{"datetime", "'2024-02-31'", "null", "null"},
	{"enum('a','it''s','ü')", "'ü'", "text", "ü"},
	{"enum('ä','b') character set latin1", "'ä'", "text", "ä"},
	{"enum('a')", "'no such'", "text", ""},
	{"set('x','y','z')", "'z,x'", "text", "x,z"},
	{"set('x','y','z')", "''", "text", ""},
	{"char(5)", "'ab '", "text", "ab"},
	{"char(255)", "repeat('é', 255)", "text", strings.Repeat("é", 255)},
	{"varchar(100)", "'größe 😀'", "text", "größe 😀"},
	{"varchar(300)", "'größe 😀'", "text", "größe 😀"},
	{"varchar(20) character set latin1", "'ä€'", "text", "ä€"},
	{"varchar(20) character set latin2", "'řž'", "text", "řž"},
	{"varchar(20) character set cp1251", "'Привет'", "text", "Привет"},
	{"varchar(20) character set koi8r", "'Привет'", "text", "Привет"},
	{"varchar(20) character set greek", "'αβγ'", "text", "αβγ"},
	{"varchar(20) character set ucs2", "'aü中'", "text", "aü中"},
	{"varchar(20) character set utf16", "'a😀'", "text", "a😀"},
	{"varchar(20) character set utf16le", "'a😀'", "text", "a😀"},
	{"varchar(20) character set utf32", "'a😀'", "text", "a😀"},
	{"varchar(20) character set gbk", "'中文a'", "text", "中文a"},
	{"varchar(20) character set big5", "'中文'", "text", "中文"},
	{"varchar(20) character set sjis", "'日本語ｶ'", "text", "日本語ｶ"},
	{"varchar(20) character set ujis", "'日本語'", "text", "日本語"},
	{"varchar(20) character set euckr", "'한국'", "text", "한국"},
	{"varchar(20) character set ascii", "'plain'", "text", "plain"},
	{"varchar(20) character set utf8mb4 collate utf8mb4_bin", "'B'", "text", "B"},
	{"text", "repeat('x', 70000)", "text", strings.Repeat("x", 65535)},
	{"mediumtext character set latin1", "'é'", "text", "é"},
	{"longtext", "'a\\nb'", "text", "a\nb"},
	{"varchar(200) compressed", "repeat('ä', 150)", "text", strings.Repeat("ä", 150)},
	{"varchar(200) compressed", "'s'", "text", "s"},
	{"varchar(200) compressed", "''", "text", ""},
	{"longtext compressed character set latin1", "repeat('ä', 3000)", "text", strings.Repeat("ä", 3000)},
	{"blob compressed", "repeat('z', 3000)", "bytes", `"` + strings.Repeat("z", 3000) + `"`},
	{"binary(5)", "x'0100'", "bytes", `"\x01\x00\x00\x00\x00"`},
	{"varbinary(300)", "x'ff0000'", "bytes", `"\xff\x00\x00"`},
	{"tinyblob", "x'00ff00'", "bytes", `"\x00\xff\x00"`},
	{"blob", "''", "bytes", `""`},
	{"longblob", "x'00'", "bytes", `"\x00"`},
	{"json", "'{\"a\": 1, \"ä\":[null]}'", "json", `{"a": 1, "ä":[null]}`},
	{"uuid", "'123e4567-e89b-12d3-a456-426655440000'", "uuid", "123e4567-e89b-12d3-a456-426655440000"},
	{"uuid", "'01890a5d-ac96-774b-bcce-b302099a8057'", "uuid", "01890a5d-ac96-774b-bcce-b302099a8057"},
	{"uuid", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "uuid", "ffffffff-ffff-ffff-ffff-ffffffffffff"},
	{"uuid", "'00000000-0000-0000-0000-000000000000'", "uuid", "00000000-0000-0000-0000-000000000000"},
	{"uuid", "'123e4567-e89b-42d3-8456-000000000000'", "uuid", "123e4567-e89b-42d3-8456-000000000000"},
	{"inet4", "'10.0.0.0'", "text", "10.0.0.0"},
	{"inet6", "'2001:db8::'", "text", "2001:db8::"},
	{"inet6", "'::ffff:1.2.3.4'", "text", "::ffff:1.2.3.4"},
	{"point", "ST_GeomFromText('POINT(1 2)')", "bytes",
		`"\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@"`},
	{"geometry", "ST_GeomFromText('POINT(1 2)', 4326)", "bytes",
		`"\x01\x01\x00\x00 \xe6\x10\x00\x00\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@"`},
	{"int generated always as (id * 0 + 7) virtual", "default", "int", "7"},
	{"int generated always as (id * 0 + 7) stored", "default", "int", "7"},
	{"int invisible", "9", "int", "9"},
	{"int", "null", "null", "null"},
	{"varchar(9)", "null", "null", "null"},
}

// contractTable makes a table with a column for each row of the contract.
func contractTable(t testing.TB, db string) (insert string) {
	var columns, names, values []string
	for i, c := range contract {
		typ := c.typ
		if strings.HasPrefix(typ, "timestamp") {
			typ += " null default null"
		}
		columns = append(columns, fmt.Sprintf("c%d %s", i, typ))
		names = append(names, fmt.Sprintf("c%d", i))
		values = append(values, c.sql)
	}
	maria.Exec(t, db, "SET time_zone = '+00:00'", "SET innodb_strict_mode = 0", "CREATE TABLE contract (id int PRIMARY KEY, "+strings.Join(columns, ", ")+") CHARACTER SET utf8mb4 ROW_FORMAT=DYNAMIC")
	return "SET time_zone = '+00:00'; SET sql_mode = 'ALLOW_INVALID_DATES'; INSERT INTO contract (id, " + strings.Join(names, ", ") + ") VALUES (%d, " + strings.Join(values, ", ") + ")"
}

func TestContract(t *testing.T) {
	for _, c := range []struct{ name, before string }{
		{"full", ""},
		{"no metadata", "SET GLOBAL binlog_row_metadata = NO_LOG"},
		{"compressed", "SET GLOBAL log_bin_compress = 1, log_bin_compress_min_len = 10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.before != "" {
				maria.Exec(t, "", c.before)
				t.Cleanup(func() {
					if _, err := maria.Query(context.Background(), "", "SET GLOBAL binlog_row_metadata = FULL, log_bin_compress = 0"); err != nil {
						t.Error(err)
					}
				})
			}
			contractHolds(t)
		})
	}
}

func contractHolds(t *testing.T) {
	db := maria.Database(t)
	insert := contractTable(t, db)
	maria.Exec(t, db, fmt.Sprintf(insert, 1))
	c := configFor(t, maria, db)
	c.ZeroDates = onNull
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.WaitRows(t, 1)
	maria.Exec(t, db, fmt.Sprintf(insert, 2), "UPDATE contract SET id = 3 WHERE id = 2", "DELETE FROM contract WHERE id = 3")
	r.Out.WaitRows(t, 4)
	r.Stop()
	var want []string
	for _, c := range contract {
		want = append(want, c.typ+" "+c.sql[:min(len(c.sql), 30)]+" = "+c.kind+" "+c.text)
	}
	for _, b := range r.Out.Batches() {
		for i := range b.Rows {
			for _, values := range [][]pipeline.Value{b.Rows[i].Values, b.Rows[i].Before} {
				if values == nil {
					continue
				}
				var have []string
				for j, c := range contract {
					v := values[j+1]
					have = append(have, c.typ+" "+c.sql[:min(len(c.sql), 30)]+" = "+v.Kind().String()+" "+v.String())
				}
				if diff := cmp.Diff(want, have); diff != "" {
					t.Errorf("%v (-want +have):\n%s", b.Rows[i].Op, diff)
				}
			}
		}
	}
}
