package json

import (
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// schemaHeads returns what stands before the payload of the key and of the value: Connect's schema
// in JSON.
func schemaHeads(p *envelope.Plan, name string) (key, value string) {
	if len(p.Keys) > 0 {
		key = `{"schema":` + structOf(p.Keys, name+".Key", "", false) + `,"payload":`
	}
	if p.Shape == envelope.Flat {
		extra := ""
		if p.Deletes == envelope.Rewrite {
			extra = simple("string", true, envelope.DeletedField)
		}
		return key, `{"schema":` + structOf(p.Fields, name+".Value", extra, false) + `,"payload":`
	}
	row := structOf(p.Fields, name+".Value", "", true)
	row = strings.TrimSuffix(row, "}")
	fields := []string{
		row + `,"field":"before"}`, row + `,"field":"after"}`, sourceSchema(p.Schema.System),
		`{"type":"struct","fields":[` + simple("string", false, "id") + "," + simple("int64", false, "total_order") + "," +
			simple("int64", false, "data_collection_order") + `],"optional":true,"name":"event.block","version":1,"field":"transaction"}`,
		simple("string", false, "op"), simple("int64", true, "ts_ms"), simple("int64", true, "ts_us"), simple("int64", true, "ts_ns"),
	}
	return key, `{"schema":{"type":"struct","fields":[` + strings.Join(fields, ",") + `],"optional":false,"name":` +
		quote(name+".Envelope") + `,"version":2},"payload":`
}

func quote(s string) string { return string(envelope.AppendJSONString(nil, s)) }

func simple(typ string, optional bool, field string) string {
	opt := "false"
	if optional {
		opt = "true"
	}
	return `{"type":"` + typ + `","optional":` + opt + `,"field":` + quote(field) + `}`
}

func structOf(fields []envelope.Field, name, extra string, optional bool) string {
	var b strings.Builder
	b.WriteString(`{"type":"struct","fields":[`)
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(typeSchema(f.Type, f.Name))
	}
	if extra != "" {
		b.WriteString("," + extra)
	}
	b.WriteString(`],"optional":`)
	if optional {
		b.WriteString("true")
	} else {
		b.WriteString("false")
	}
	b.WriteString(`,"name":` + quote(name) + "}")
	return b.String()
}

var connectTypes = [...]string{
	envelope.Boolean: "boolean", envelope.Int: "int32", envelope.Long: "int64", envelope.Float: "float",
	envelope.Double: "double", envelope.Str: "string", envelope.Blob: "bytes", envelope.Record: "struct",
	envelope.List: "array",
}

// typeSchema returns a type's schema; field "" leaves the field's name out.
func typeSchema(t *envelope.Type, field string) string {
	typ := connectTypes[t.Form.Base()]
	if t.Form == envelope.Int16 {
		typ = "int16"
	}
	var b strings.Builder
	b.WriteString(`{"type":"` + typ + `"`)
	switch t.Form {
	case envelope.Array:
		b.WriteString(`,"items":` + typeSchema(t.Elem, ""))
	case envelope.VarDecimal:
		b.WriteString(`,"fields":[` + simple("int32", false, "scale") + "," + simple("bytes", false, "value") + "]")
	}
	if t.Optional {
		b.WriteString(`,"optional":true`)
	} else {
		b.WriteString(`,"optional":false`)
	}
	if t.Name != "" {
		b.WriteString(`,"name":` + quote(t.Name) + `,"version":1`)
	}
	if t.Form == envelope.VarDecimal {
		b.WriteString(`,"doc":"Variable scaled decimal"`)
	}
	for i, p := range t.Params {
		if i == 0 {
			b.WriteString(`,"parameters":{`)
		} else {
			b.WriteByte(',')
		}
		b.WriteString(quote(p.Name) + ":" + quote(p.Value))
	}
	if len(t.Params) > 0 {
		b.WriteByte('}')
	}
	if t.Default != "" {
		b.WriteString(`,"default":` + t.Default)
	}
	if field != "" {
		b.WriteString(`,"field":` + quote(field))
	}
	b.WriteByte('}')
	return b.String()
}

func sourceSchema(sys pipeline.System) string {
	if sys == "" {
		sys = pipeline.PostgreSQL
	}
	str, long := "string", "int64"
	fields := []string{
		simple(str, false, "version"), simple(str, false, "connector"), simple(str, false, "name"), simple(long, false, "ts_ms"),
		`{"type":"string","optional":true,"name":"io.debezium.data.Enum","version":1,"parameters":{"allowed":` +
			`"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},"default":"false","field":"snapshot"}`,
		simple(str, false, "db"), simple(str, true, "sequence"), simple(long, true, "ts_us"), simple(long, true, "ts_ns"),
	}
	if sys == pipeline.PostgreSQL {
		fields = append(fields, simple(str, false, "schema"), simple(str, false, "table"), simple(long, true, "txId"),
			simple(long, true, "lsn"), simple(long, true, "xmin"), simple(str, true, "origin"), simple(long, true, "origin_lsn"))
	} else {
		fields = append(fields, simple(str, true, "table"), simple(long, false, "server_id"), simple(str, true, "gtid"),
			simple(str, false, "file"), simple(long, false, "pos"), simple("int32", false, "row"), simple(long, true, "thread"),
			simple(str, true, "query"))
	}
	return `{"type":"struct","fields":[` + strings.Join(fields, ",") + `],"optional":false,"name":"io.debezium.connector.` +
		string(sys) + `.Source","version":1,"field":"source"}`
}
