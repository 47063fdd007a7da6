package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/control"
)

const (
	// repairKeys is how many keys one request names, and maxRepair for how many a table is read in part;
	// beyond it the whole table is read.
	repairKeys = 100
	maxRepair  = 1000
)

// repair asks the running pipeline to read what is missing or differs once more.
func (v *verifier) repair(ctx context.Context, all []verified) error {
	client := control.Dial(controlSocket(v.config))
	for i := range all {
		t := &all[i]
		if t.Extra > 0 {
			t.Notes = append(t.Notes, fmt.Sprintf("to delete extra rows, read the whole table: pipe snapshot --table %s --source %s --replace",
				t.Table, t.Source))
		}
		for _, q := range t.requests() {
			_, err := client.Snapshot(ctx, q)
			if errors.Is(err, control.ErrNotRunning) {
				return &pipeline.Error{Class: pipeline.Environment, Err: errors.New("the pipeline is not running, so nobody repairs it"),
					Hint: fmt.Sprintf("Run it, or run pipe snapshot --table %s --source %s --where '%s'", q.Tables[0], q.Source, q.Where)}
			}
			if err != nil {
				return err
			}
		}
		if n := len(t.repair); n > 0 {
			t.Notes = append(t.Notes, fmt.Sprintf("asked for a snapshot of %s", plural(n, "row")))
		}
	}
	return nil
}

// requests are the snapshots that mend a table.
func (v *verified) requests() []control.SnapshotRequest {
	whole := control.SnapshotRequest{Tables: []string{v.Table}, Source: v.Source, By: "pipe verify"}
	if len(v.repair) > maxRepair {
		return []control.SnapshotRequest{whole}
	}
	var out []control.SnapshotRequest
	for keys := range slices.Chunk(v.repair, repairKeys) {
		where, ok := keysCondition(v.schema, keys)
		if !ok {
			return []control.SnapshotRequest{whole}
		}
		q := whole
		q.Where = where
		out = append(out, q)
	}
	return out
}

// keysCondition is a row expression that is true for rows with one of the keys; ok is false where a key's
// type cannot be written as a constant.
func keysCondition(s *pipeline.Schema, keys [][]string) (where string, ok bool) {
	var rows []string
	for _, key := range keys {
		var parts []string
		for n, text := range key {
			c := &s.Columns[s.Key[n]]
			constant, ok := constantOf(c.Kind, text)
			if !ok {
				return "", false
			}
			if len(key) == 1 {
				parts = append(parts, constant)
				continue
			}
			parts = append(parts, rowColumn(c.Name)+" == "+constant)
		}
		rows = append(rows, strings.Join(parts, " && "))
	}
	if len(s.Key) == 1 {
		return "contains([" + strings.Join(rows, ", ") + "], " + rowColumn(s.Columns[s.Key[0]].Name) + ")", true
	}
	return strings.Join(rows, " || "), true
}

func rowColumn(name string) string {
	if hclsyntax.ValidIdentifier(name) {
		return "row." + name
	}
	return "row[" + quotedHCL(name) + "]"
}

func quotedHCL(text string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(text)).Bytes())
}

// constantOf writes a key's value as a row expression.
func constantOf(k pipeline.Kind, text string) (string, bool) {
	switch k {
	case pipeline.Int, pipeline.Uint, pipeline.Float32, pipeline.Float64, pipeline.Decimal:
		return text, text != "" && strings.Trim(text, "0123456789.-") == ""
	case pipeline.Bool:
		return text, text == "true" || text == "false"
	case pipeline.TimestampTZ:
		return quotedHCL(strings.Replace(text, "+00", "Z", 1)), true
	case pipeline.Text, pipeline.UUID, pipeline.Date, pipeline.Time, pipeline.Timestamp, pipeline.Bits:
		return quotedHCL(text), true
	}
	return "", false
}
