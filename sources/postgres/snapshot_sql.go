package postgres

import (
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// selectList names the schema's columns, so that a partition whose columns are in another order
// gives them in the root's. A type whose binary form is not read comes as text.
func selectList(t *snapshotTable) (string, error) {
	list := make([]string, len(t.Schema.Columns))
	for i := range t.Schema.Columns {
		c := &t.Schema.Columns[i]
		a := t.Relation.Attribute(c.Name)
		if a == nil {
			return "", fmt.Errorf("table %s has no column %s any more", t.Relation, c.Name)
		}
		if list[i] = quoteName(c.Name); !pgtext.BinaryOK(c) {
			list[i] = a.Output
		}
	}
	return strings.Join(list, ", "), nil
}

// chunkSQL reads a chunk. A table that was rewritten after the snapshot was taken looks empty to it
// (ALTER TABLE, TRUNCATE: PostgreSQL documentation, "MVCC Caveats"), so the first result says
// whether its file is still the one that the snapshot knows; the lock keeps that so.
func chunkSQL(p *part, r snapshot.Range) (string, error) {
	conditions, err := rangeSQL(p, r)
	if err != nil {
		return "", err
	}
	if p.Where != "" {
		conditions = append(conditions, "("+p.Where+")")
	}
	where := ""
	if len(conditions) > 0 {
		where = " WHERE " + strings.Join(conditions, " AND ")
	}
	table := "ONLY " + p.leaf.Quoted()
	return fmt.Sprintf("LOCK TABLE %s IN ACCESS SHARE MODE; "+
		"SELECT relfilenode = pg_relation_filenode(oid) FROM pg_class WHERE oid = %d; "+
		"COPY (SELECT %s FROM %s%s) TO STDOUT (FORMAT binary)", table, p.leaf.OID, p.columns, table, where), nil
}

func rangeSQL(p *part, r snapshot.Range) ([]string, error) {
	switch r.Cut {
	case snapshot.ByBlock:
		return blockSQL(r), nil
	case snapshot.ByKey:
		return keySQL(p, r)
	}
	return nil, nil
}

func blockSQL(r snapshot.Range) []string {
	var out []string
	if r.Low != nil {
		out = append(out, "ctid >= '("+r.Low[0]+",0)'::tid")
	}
	if r.High != nil {
		out = append(out, "ctid < '("+r.High[0]+",0)'::tid")
	}
	return out
}

// keySQL bounds the key. Its columns are the names in the table's key, or the one it is cut by; a
// NULL in that one belongs to the first chunk.
func keySQL(p *part, r snapshot.Range) ([]string, error) {
	names := []string{p.ChunkBy}
	if p.ChunkBy == "" {
		names = p.Relation.keyNames()
	}
	var out []string
	if r.Low != nil {
		low, err := keyLiteral(p.leaf, names, r.Low)
		if err != nil {
			return nil, err
		}
		out = append(out, keyColumns(names)+" >= "+low)
	}
	if r.High != nil {
		high, err := keyLiteral(p.leaf, names, r.High)
		if err != nil {
			return nil, err
		}
		condition := keyColumns(names) + " < " + high
		if r.Low == nil && len(names) == 1 {
			condition = "(" + condition + " OR " + quoteName(names[0]) + " IS NULL)"
		}
		out = append(out, condition)
	}
	return out, nil
}

func keyColumns(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quoteName(name)
	}
	return "(" + strings.Join(quoted, ", ") + ")"
}

func keyLiteral(r *relation, names, values []string) (string, error) {
	list := make([]string, len(names))
	for i, name := range names {
		a := r.Attribute(name)
		if a == nil || i >= len(values) {
			return "", fmt.Errorf("table %s: there is no column %s to cut by", r, name)
		}
		list[i] = quoteLiteral(values[i]) + "::" + a.Type.Format
	}
	return "(" + strings.Join(list, ", ") + ")", nil
}
