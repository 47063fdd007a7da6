package config

import (
	"errors"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// mark tells values that must not be shown.
type mark string

const sensitive mark = "sensitive"

// minSecret is the length from which a value is searched for in messages; shorter ones would garble
// them.
const minSecret = 4

// functions returns what expressions of the config scope may call.
func (l *loader) functions() map[string]function.Function {
	all := standard()
	all["env"] = l.env(l.opt.NoEnv)
	all["file"] = l.file()
	all["secret"] = l.secret()
	return all
}

func standard() map[string]function.Function {
	return map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "can": tryfunc.CanFunc, "ceil": stdlib.CeilFunc, "chomp": stdlib.ChompFunc,
		"chunklist": stdlib.ChunklistFunc, "coalesce": stdlib.CoalesceFunc, "coalescelist": stdlib.CoalesceListFunc,
		"compact": stdlib.CompactFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc,
		"csvdecode": stdlib.CSVDecodeFunc, "distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc,
		"endswith": suffixFunc(), "flatten": stdlib.FlattenFunc, "floor": stdlib.FloorFunc,
		"format": stdlib.FormatFunc, "formatdate": stdlib.FormatDateFunc, "formatlist": stdlib.FormatListFunc,
		"indent": stdlib.IndentFunc, "int": stdlib.IntFunc, "join": stdlib.JoinFunc,
		"jsondecode": stdlib.JSONDecodeFunc,
		"jsonencode": stdlib.JSONEncodeFunc, "keys": stdlib.KeysFunc, "length": lengthFunc(),
		"log": stdlib.LogFunc, "lookup": stdlib.LookupFunc, "lower": stdlib.LowerFunc, "max": stdlib.MaxFunc,
		"merge": stdlib.MergeFunc, "min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc, "pow": stdlib.PowFunc,
		"range": stdlib.RangeFunc, "regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc,
		"regexreplace": stdlib.RegexReplaceFunc, "replace": stdlib.ReplaceFunc, "reverse": stdlib.ReverseListFunc,
		"setintersection": stdlib.SetIntersectionFunc, "setproduct": stdlib.SetProductFunc,
		"setsubtract": stdlib.SetSubtractFunc, "setunion": stdlib.SetUnionFunc, "signum": stdlib.SignumFunc,
		"slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "split": stdlib.SplitFunc, "startswith": prefixFunc(),
		"strlen": stdlib.StrlenFunc, "strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc,
		"timeadd": stdlib.TimeAddFunc, "title": stdlib.TitleFunc, "tobool": stdlib.MakeToFunc(cty.Bool),
		"tolist":   stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)),
		"tomap":    stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
		"tonumber": stdlib.MakeToFunc(cty.Number), "toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
		"tostring": stdlib.MakeToFunc(cty.String), "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc,
		"trimspace": stdlib.TrimSpaceFunc, "trimsuffix": stdlib.TrimSuffixFunc, "try": tryfunc.TryFunc,
		"upper": stdlib.UpperFunc, "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
	}
}

func prefixFunc() function.Function {
	return textTest(func(s, part string) bool { return len(s) >= len(part) && s[:len(part)] == part })
}

func suffixFunc() function.Function {
	return textTest(func(s, part string) bool { return len(s) >= len(part) && s[len(s)-len(part):] == part })
}

func textTest(test func(s, part string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "part", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(test(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// lengthFunc counts the elements of a list, set, map or object, or the characters of a text.
func lengthFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true}},
		Type:   function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v := args[0]
			t := v.Type()
			switch {
			case t == cty.String:
				return stdlib.Strlen(v)
			case t.IsObjectType():
				return cty.NumberIntVal(int64(len(t.AttributeTypes()))), nil
			case t.IsTupleType(), t.IsCollectionType():
				return v.Length(), nil
			case t == cty.DynamicPseudoType:
				return cty.UnknownVal(cty.Number), nil
			}
			return cty.NilVal, errors.New("it takes a list, a set, a map or a text")
		},
	})
}

// env makes env("X"), which fails when X is unset, and env("X", "default"). Its result is
// sensitive. lenient makes an unset variable unknown instead.
func (l *loader) env(lenient bool) function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.DynamicPseudoType, AllowNull: true},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if len(args) > 2 {
				return cty.NilVal, errors.New("env takes a name and at most one default")
			}
			name := args[0].AsString()
			if text, ok := os.LookupEnv(name); ok {
				l.keepSecret(text)
				return cty.StringVal(text).Mark(sensitive), nil
			}
			if len(args) == 2 {
				v, err := convert.Convert(args[1], cty.String)
				if err != nil {
					return cty.NilVal, errors.New("the default must be a text")
				}
				return v.Mark(sensitive), nil
			}
			if lenient {
				return cty.UnknownVal(cty.String).Mark(sensitive), nil
			}
			return cty.NilVal, function.NewArgErrorf(0,
				"environment variable %s is not set. Set it, or give a default: "+
					"env(%q, \"...\")", name, name)
		},
	})
}

// file makes file("path"), relative to the configuration's directory. Its result is sensitive.
func (l *loader) file() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			if !filepath.IsAbs(name) {
				name = filepath.Join(l.dir, name)
			}
			text, err := readFile(name)
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			if !utf8.Valid(text) {
				return cty.NilVal, function.NewArgErrorf(0, "%s is not UTF-8 text", name)
			}
			l.keepSecret(string(text))
			return cty.StringVal(string(text)).Mark(sensitive), nil
		},
	})
}

// secret makes secret(value), which is the value, never shown.
func (l *loader) secret() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowMarked: true, AllowNull: true}},
		Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			l.keepSecrets(args[0])
			return args[0].Mark(sensitive), nil
		},
	})
}

func (l *loader) keepSecret(text string) {
	if len(text) >= minSecret {
		l.secrets = append(l.secrets, text)
	}
}

// keepSecrets keeps every text inside v.
func (l *loader) keepSecrets(v cty.Value) {
	v, _ = v.UnmarkDeep()
	_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
		if v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
			l.keepSecret(v.AsString())
		}
		return true, nil
	})
}
