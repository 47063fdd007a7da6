package mariadb

import (
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// TestVersions holds which servers are read, and that another one is refused with what it lacks.
func TestVersions(t *testing.T) {
	for version, want := range map[string]string{
		"10.6.0-MariaDB":               "",
		"10.11.19-MariaDB-0+deb12u1":   "",
		"11.4.5-MariaDB-ubu2404-log":   "",
		"12.3.1-MariaDB":               "",
		"10.5.29-MariaDB":              "10.6 is the first",
		"5.5.68-MariaDB":               "10.6 is the first",
		"8.0.36":                       "the server is MySQL 8.0.36",
		"8.4.3-commercial":             "the server is MySQL",
		"5.7.44-log":                   "the server is MySQL",
		"8.0.35-27 Percona Server GPL": "the server is MySQL",
	} {
		err := (&server{Version: version}).refuse()
		if (err == nil) != (want == "") {
			t.Errorf("%s: %v", version, err)
		}
		if err != nil && (!strings.Contains(err.Error(), want) || pipeline.ClassOf(err) != pipeline.Environment || pipeline.HintOf(err) == "") {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// TestVector holds that a column of vectors, which 11.7 writes as bytes, is read as bytes.
func TestVector(t *testing.T) {
	c := &Config{}
	col := &column{Name: "v", Type: "vector", Full: "vector(3)", Length: 12}
	out, f, err := c.shape(col, &server{})
	if err != nil || out.Kind != pipeline.Bytes || f.Kind != pipeline.Bytes {
		t.Errorf("%+v, %v", out, err)
	}
	if m := (&binlog.MapColumn{Type: binlog.TypeVarchar, Meta: 12, Name: "v", Collation: binaryCollation}); !fits(m, col) {
		t.Error("the log's bytes do not fit the catalogue's vector")
	}
}
