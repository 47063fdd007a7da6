package avro

import (
	"strconv"

	"github.com/hamba/avro/v2"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// writer writes the text of a schema, with properties in the order of Confluent's AvroData, so that
// a registry sees the text that Debezium's converter would have sent.
type writer struct {
	b     []byte
	named map[string]bool // records defined already: a further use is a reference
}

func (w *writer) raw(s string) { w.b = append(w.b, s...) }
func (w *writer) str(s string) { w.b = envelope.AppendJSONString(w.b, s) }

const (
	enumSnapshot = `[{"type":"string","connect.version":1,"connect.parameters":{"allowed":` +
		`"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},` +
		`"connect.default":"false","connect.name":"io.debezium.data.Enum"},"null"]`
	sourceHead = `,"fields":[{"name":"version","type":"string"},{"name":"connector","type":"string"},` +
		`{"name":"name","type":"string"},{"name":"ts_ms","type":"long"},{"name":"snapshot","type":` +
		enumSnapshot + `,"default":"false"},{"name":"db","type":"string"},` +
		`{"name":"sequence","type":["null","string"],"default":null},` +
		`{"name":"ts_us","type":["null","long"],"default":null},{"name":"ts_ns","type":["null","long"],"default":null},`
	sourcePostgres = `{"name":"schema","type":"string"},{"name":"table","type":"string"},` +
		`{"name":"txId","type":["null","long"],"default":null},{"name":"lsn","type":["null","long"],"default":null},` +
		`{"name":"xmin","type":["null","long"],"default":null},{"name":"origin","type":["null","string"],"default":null},` +
		`{"name":"origin_lsn","type":["null","long"],"default":null}]`
	sourceMaria = `{"name":"table","type":["null","string"],"default":null},{"name":"server_id","type":"long"},` +
		`{"name":"gtid","type":["null","string"],"default":null},{"name":"file","type":"string"},` +
		`{"name":"pos","type":"long"},{"name":"row","type":"int"},` +
		`{"name":"thread","type":["null","long"],"default":null},{"name":"query","type":["null","string"],"default":null}]`
	blockRecord = `["null",{"type":"record","name":"block","namespace":"event","fields":[{"name":"id","type":"string"},` +
		`{"name":"total_order","type":"long"},{"name":"data_collection_order","type":"long"}],` +
		`"connect.version":1,"connect.name":"event.block"}]`
	envelopeTail = `,"default":null},{"name":"op","type":"string"},{"name":"ts_ms","type":["null","long"],"default":null},` +
		`{"name":"ts_us","type":["null","long"],"default":null},{"name":"ts_ns","type":["null","long"],"default":null}],` +
		`"connect.version":2,"connect.name":`
	varDecimalRecord = `{"type":"record","name":"VariableScaleDecimal","namespace":"io.debezium.data","fields":[` +
		`{"name":"scale","type":"int"},{"name":"value","type":"bytes"}],"connect.doc":"Variable scaled decimal",` +
		`"connect.version":1,"connect.name":"io.debezium.data.VariableScaleDecimal"}`
)

// keySchema returns the text of the key's schema.
func keySchema(p *envelope.Plan, names []string, namespace string) string {
	w := writer{named: map[string]bool{}}
	w.record(p, "Key", namespace, p.Keys, names, "")
	return string(w.b)
}

// valueSchema returns the text of the value's schema.
func valueSchema(p *envelope.Plan, names []string, namespace string) string {
	w := writer{named: map[string]bool{}}
	if p.Shape == envelope.Flat {
		extra := ""
		if p.Deletes == envelope.Rewrite {
			extra = `{"name":"` + envelope.DeletedField + `","type":["null","string"],"default":null}`
		}
		w.record(p, "Value", namespace, p.Fields, names, extra)
		return string(w.b)
	}
	w.raw(`{"type":"record","name":"Envelope","namespace":`)
	w.str(namespace)
	w.raw(`,"fields":[{"name":"before","type":["null",`)
	w.record(p, "Value", "", p.Fields, names, "")
	w.b = w.b[:len(w.b)-1]
	w.connectName(namespace + ".Value")
	w.raw(`],"default":null},{"name":"after","type":["null","Value"],"default":null},{"name":"source","type":`)
	w.source(p.Schema.System)
	w.raw(`},{"name":"transaction","type":` + blockRecord + envelopeTail)
	w.str(namespace + ".Envelope")
	w.raw("}")
	return string(w.b)
}

func (w *writer) source(sys pipeline.System) {
	name := "io.debezium.connector." + string(Connector(sys))
	w.raw(`{"type":"record","name":"Source","namespace":"` + name + `"` + sourceHead)
	if sys == pipeline.PostgreSQL || sys == "" {
		w.raw(sourcePostgres)
	} else {
		w.raw(sourceMaria)
	}
	w.raw(`,"connect.version":1,"connect.name":"` + name + `.Source"}`)
}

// Connector returns source.connector.
func Connector(sys pipeline.System) pipeline.System {
	if sys == "" {
		return pipeline.PostgreSQL
	}
	return sys
}

// record writes a record of a table's columns; namespace "" is the enclosing one's.
func (w *writer) record(p *envelope.Plan, name, namespace string, fields []envelope.Field, names []string, extra string) {
	w.raw(`{"type":"record","name":"` + name + `"`)
	if namespace != "" {
		w.raw(`,"namespace":`)
		w.str(namespace)
	}
	w.raw(`,"fields":[`)
	for i, f := range fields {
		if i > 0 {
			w.raw(",")
		}
		w.field(names[i], f)
	}
	if extra != "" {
		w.raw("," + extra)
	}
	w.raw("]")
	if namespace != "" && p.Mapping.Types == envelope.Connect {
		w.connectName(namespace + "." + name)
		return
	}
	w.raw("}")
}

func (w *writer) connectName(name string) {
	w.raw(`,"connect.name":`)
	w.str(name)
	w.raw("}")
}

func (w *writer) field(name string, f envelope.Field) {
	w.raw(`{"name":"` + name + `"`)
	if name != f.Name {
		w.raw(`,"pipe.name":`)
		w.str(f.Name)
	}
	w.raw(`,"type":`)
	t := f.Type
	switch {
	case t.Optional && t.Default != "":
		w.raw("[")
		w.typ(t)
		w.raw(`,"null"],"default":` + t.Default)
	case t.Optional:
		w.raw(`["null",`)
		w.typ(t)
		w.raw(`],"default":null`)
	default:
		w.typ(t)
		if t.Default != "" {
			w.raw(`,"default":` + t.Default)
		}
	}
	w.raw("}")
}

var primitives = [...]string{
	envelope.Boolean: "boolean", envelope.Int: "int", envelope.Long: "long", envelope.Float: "float",
	envelope.Double: "double", envelope.Str: "string", envelope.Blob: "bytes", envelope.List: "array",
}

// typ writes a type in its required form.
func (w *writer) typ(t *envelope.Type) {
	if t.Form == envelope.VarDecimal {
		if w.named[t.Name] {
			w.str(t.Name)
			return
		}
		w.named[t.Name] = true
		w.raw(varDecimalRecord)
		return
	}
	base := primitives[t.Form.Base()]
	if bare(t) {
		w.str(base)
		return
	}
	w.raw(`{"type":"` + base + `"`)
	if t.Form == envelope.Array {
		w.raw(`,"items":["null",`)
		w.typ(t.Elem)
		w.raw("]")
	}
	if t.Logical == "decimal" {
		w.raw(`,"scale":` + strconv.Itoa(t.Scale) + `,"precision":` + strconv.Itoa(t.Precision))
	}
	w.connect(t)
	if t.Logical != "" {
		w.raw(`,"logicalType":"` + t.Logical + `"`)
	}
	w.raw("}")
}

func bare(t *envelope.Type) bool {
	return t.Name == "" && t.Logical == "" && t.Default == "" && t.Form != envelope.Int16 && t.Form != envelope.Array
}

// connect writes the properties that Connect reads.
func (w *writer) connect(t *envelope.Type) {
	if t.Name != "" {
		w.raw(`,"connect.version":1`)
	}
	for i, p := range t.Params {
		if i == 0 {
			w.raw(`,"connect.parameters":{`)
		} else {
			w.raw(",")
		}
		w.str(p.Name)
		w.raw(":")
		w.str(p.Value)
	}
	if len(t.Params) > 0 {
		w.raw("}")
	}
	if t.Default != "" {
		w.raw(`,"connect.default":` + t.Default)
	}
	if t.Name != "" {
		w.raw(`,"connect.name":`)
		w.str(t.Name)
	}
	if t.Form == envelope.Int16 {
		w.raw(`,"connect.type":"int16"`)
	}
}

// validate parses a schema with a cache of its own, since the library's default one is global and
// would resolve a name to another table's record.
func validate(text string) error {
	_, err := avro.ParseWithCache(text, "", &avro.SchemaCache{})
	return err
}
