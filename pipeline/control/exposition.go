package control

import (
	"strconv"
	"strings"
)

// exposition writes Prometheus' text format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/). Samples follow the family that they
// belong to.
type exposition struct {
	dst    []byte
	name   string   // of the family
	common []string // names and values of the labels that all samples have
}

// The types of families.
const (
	counter = "counter"
	gauge   = "gauge"
)

func (x *exposition) family(name, kind, help string) {
	x.name = name
	x.dst = append(x.dst, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"...)
}

// sample writes a value with its labels: names and values in turn.
func (x *exposition) sample(value float64, labels ...string) {
	x.dst = append(x.dst, x.name...)
	separator := byte('{')
	for _, list := range [...][]string{x.common, labels} {
		for i := 0; i+1 < len(list); i += 2 {
			x.dst = append(append(append(x.dst, separator), list[i]...), `="`...)
			x.dst = append(append(x.dst, labelValue(list[i+1])...), '"')
			separator = ','
		}
	}
	if separator == ',' {
		x.dst = append(x.dst, '}')
	}
	x.dst = append(x.dst, ' ')
	x.dst = strconv.AppendFloat(x.dst, value, 'g', -1, 64)
	x.dst = append(x.dst, '\n')
}

// flag writes 1 or 0.
func (x *exposition) flag(value bool, labels ...string) {
	v := 0.0
	if value {
		v = 1
	}
	x.sample(v, labels...)
}

func labelValue(s string) string {
	if strings.ContainsAny(s, "\\\"\n") {
		s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
