package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/pipe-cdc/pipe/pipeline/config/diag"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Load reads and checks the configuration at path: a file, a directory of files, or "-" for
// Options.Stdin. The Config is never nil; with errors it is incomplete, and its Files serve to print them.
func Load(path string, opt Options) (*Config, hcl.Diagnostics) {
	l := &loader{opt: opt, out: &Config{Files: make(map[string][]byte)}}
	l.load(path)
	l.scrub()
	return l.out, diag.Sorted(l.diags)
}

// loader is one run of Load.
type loader struct {
	opt     Options
	out     *Config
	dir     string
	diags   hcl.Diagnostics
	secrets []string // values that no message may show

	broken    bool // some block could not be read: what refers to it is not wrong
	variables []*hcl.Block
	locals    []*hcl.Block
	pipelines []*hcl.Block
	moves     []*hcl.Block
	shared    []*shared    // connection blocks
	blocks    []*component // source, transform and sink blocks, in file order

	byName map[string]*component // by address; of two that exclude each other the enabled one
	refs   map[string]cty.Value  // the blocks as values, once from needs them

	ctx     *hcl.EvalContext // var, local and functions
	lenient *hcl.EvalContext // the same, with unset environment variables unknown: for disabled blocks
}

func (l *loader) report(diags ...*hcl.Diagnostic) { l.diags = append(l.diags, diags...) }

func (l *loader) load(path string) {
	if !l.read(path) {
		return
	}
	l.duplicates()
	l.contexts()
	for _, c := range l.blocks {
		l.expand(c)
	}
	l.namesOnce()
	l.decodeShared()
	for _, c := range l.blocks {
		l.decode(c)
	}
	l.settings(path)
	l.moved()
	l.graph()
}

// read parses the files and collects their blocks.
func (l *loader) read(path string) bool {
	names := []string{path}
	if path == "-" {
		l.dir = "."
		l.parse("<stdin>", l.opt.Stdin)
	} else {
		var err error
		if names, err = Names(path); err != nil {
			l.report(outside("Cannot read the configuration", readError(err)))
			return false
		}
		l.dir = filepath.Dir(path)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			l.dir = path
		}
		if len(names) > maxFiles {
			l.report(outside("Too many files", path+" has more than "+strconv.Itoa(maxFiles)+" files."))
			return false
		}
		for _, name := range names {
			l.parseFile(name)
		}
	}
	l.out.Dir = l.dir
	if len(names) == 0 {
		l.report(outside("No configuration", path+" has no file that ends in .hcl or .hcl.json."))
		return false
	}
	return true
}

func readError(err error) string {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Path + ": " + pathErr.Err.Error() + "."
	}
	return err.Error() + "."
}

func (l *loader) parseFile(name string) {
	text, err := readFile(name)
	if errors.Is(err, errTooLarge) {
		l.report(tooLarge(name))
		return
	}
	if err != nil {
		l.report(outside("Cannot read the configuration", readError(err)))
		return
	}
	l.parse(name, text)
}

func (l *loader) parse(name string, text []byte) {
	text = []byte(strings.TrimPrefix(string(text), "\ufeff"))
	l.out.Files[name] = text
	f, diags := Parse(name, text)
	l.diags = append(l.diags, diags...)
	l.broken = l.broken || diags.HasErrors()
	if f == nil || diags.HasErrors() && isJSON(name) {
		return
	}
	content, more := f.Body.Content(&hcl.BodySchema{Blocks: topLevel()})
	l.broken = l.broken || more.HasErrors()
	for _, d := range more {
		l.report(unknownBlock(d))
	}
	for _, b := range content.Blocks {
		l.collect(b)
	}
}

func topLevel() []hcl.BlockHeaderSchema {
	two := []string{"type", "name"}
	return []hcl.BlockHeaderSchema{
		{Type: "pipeline", LabelNames: []string{"name"}}, {Type: "variable", LabelNames: []string{"name"}},
		{Type: "locals"}, {Type: "connection", LabelNames: two}, {Type: "source", LabelNames: two},
		{Type: "transform", LabelNames: two}, {Type: "sink", LabelNames: two}, {Type: "moved"},
	}
}

// unknownBlock rewrites hcl's message about an unknown block or attribute at the top level.
func unknownBlock(d *hcl.Diagnostic) *hcl.Diagnostic {
	var kinds []string
	for _, b := range topLevel() {
		kinds = append(kinds, b.Type)
	}
	_, after, _ := strings.Cut(d.Detail, "\"")
	name, _, _ := strings.Cut(after, "\"")
	switch d.Summary {
	case "Unsupported block type", "Extraneous JSON object property":
		detail := "There is no block " + strconv.Quote(name) + ", only " + strings.Join(kinds, ", ") + "."
		return failure(*d.Subject, "Unknown block", detail+
			spec.DidYouMean(name, kinds, func(s string) string { return s }))
	case "Unsupported argument":
		return failure(*d.Subject, "Attribute outside a block",
			"A configuration consists of blocks; put "+strconv.Quote(name)+" into one, for example locals { }.")
	}
	return d
}

func (l *loader) collect(b *hcl.Block) {
	switch b.Type {
	case "pipeline":
		l.pipelines = append(l.pipelines, b)
	case "variable":
		l.variables = append(l.variables, b)
	case "locals":
		l.locals = append(l.locals, b)
	case "moved":
		l.moves = append(l.moves, b)
	case "connection":
		l.shared = append(l.shared, &shared{block: b})
	default:
		l.blocks = append(l.blocks, &component{block: b})
	}
	if len(b.Labels) > 0 {
		last := len(b.Labels) - 1
		l.checkName(b.Type, b.Labels[last], b.LabelRanges[last])
	}
}

// maxName bounds the length of a name: it becomes part of paths and of other systems' identifiers.
const maxName = 63

func (l *loader) checkName(kind, name string, rng hcl.Range) {
	valid := name != "" && len(name) <= maxName &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" &&
		(name[0] < '0' || name[0] > '9')
	if valid {
		return
	}
	detail := "The name of a " + kind + " consists of a-z, 0-9 and _, does not begin with a digit, and has at most " +
		strconv.Itoa(maxName) + " characters."
	better := strings.ToLower(strings.NewReplacer("-", "_", ".", "_", " ", "_").Replace(name))
	if better != name && better != "" && len(name) <= maxName && hclsyntax.ValidIdentifier(better) {
		detail += " Write " + strconv.Quote(better) + "."
	}
	l.report(failure(rng, "Invalid name", detail))
}

// duplicates reports names given twice among variables, connections and pipeline blocks.
func (l *loader) duplicates() {
	seen := make(map[string]hcl.Range)
	once := func(b *hcl.Block, what string, rng hcl.Range) {
		if at, twice := seen[what]; twice {
			l.report(failure(rng, "Duplicate "+b.Type, what+" is defined twice.",
				spec.Note{Range: at, Text: "first defined here"}))
			return
		}
		seen[what] = rng
	}
	for _, b := range l.variables {
		once(b, "var."+b.Labels[0], b.LabelRanges[0])
	}
	for _, s := range l.shared {
		once(s.block, "connection."+s.block.Labels[1], s.block.LabelRanges[1])
	}
	for _, b := range l.pipelines {
		once(b, "pipeline", b.DefRange)
	}
}

// contexts settles variables and local values.
func (l *loader) contexts() {
	l.ctx = &hcl.EvalContext{Functions: l.functions(), Variables: make(map[string]cty.Value)}
	l.ctx.Variables["var"] = cty.ObjectVal(l.variableValues())
	l.localValues()
	l.lenient = l.ctx.NewChild()
	l.lenient.Functions = map[string]function.Function{"env": l.env(true)}
}

// scrub removes secrets from what hcl's evaluator says: a function's error may quote its arguments.
func (l *loader) scrub() {
	for _, d := range l.diags {
		plainCall(d)
	}
	slices.SortFunc(l.secrets, func(a, b string) int { return len(b) - len(a) })
	for _, d := range l.diags {
		if d.EvalContext == nil {
			continue
		}
		for _, s := range l.secrets {
			d.Detail = strings.ReplaceAll(d.Detail, s, "(sensitive)")
		}
	}
}

// plainCall says what env() and file() found in plain words.
func plainCall(d *hcl.Diagnostic) {
	if d.EvalContext == nil || d.Summary != "Invalid function argument" {
		return
	}
	for _, c := range []struct{ before, summary string }{
		{`Invalid value for "name" parameter: environment variable `, "Environment variable not set"},
		{`Invalid value for "path" parameter: `, "Cannot read the file"},
	} {
		rest, ok := strings.CutPrefix(d.Detail, c.before)
		if !ok {
			continue
		}
		d.Summary, d.Detail = c.summary, rest
		if d.Expression != nil && d.Subject != nil {
			rng := d.Expression.Range()
			d.Subject = &rng
		}
	}
}
