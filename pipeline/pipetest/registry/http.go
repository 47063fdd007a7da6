package registry

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// contentType is that of every answer.
const contentType = "application/vnd.schemaregistry.v1+json"

// route answers one kind of request; it runs under the registry's lock unless it takes it itself.
type route func(*Registry, *http.Request) (any, error)

// ServeHTTP answers a request of the Confluent Schema Registry API.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", contentType)
	if !r.allowed(req) {
		w.Header().Set("WWW-Authenticate", `Basic realm="schema registry"`)
		answer(w, nil, &Fault{http.StatusUnauthorized, 401, "Unauthorized"})
		return
	}
	req.Body = http.MaxBytesReader(w, req.Body, 2*maxSchemaBytes)
	r.mux().ServeHTTP(w, req)
}

func (r *Registry) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, f := range map[string]route{
		"GET /{$}":                                                  func(*Registry, *http.Request) (any, error) { return struct{}{}, nil },
		"GET /mode":                                                 func(*Registry, *http.Request) (any, error) { return mode{"READWRITE"}, nil },
		"GET /schemas/types":                                        func(*Registry, *http.Request) (any, error) { return []string{"AVRO"}, nil },
		"GET /schemas/ids/{id}":                                     (*Registry).getSchema,
		"GET /schemas/ids/{id}/versions":                            (*Registry).getUses,
		"GET /subjects":                                             (*Registry).getSubjects,
		"GET /subjects/{subject}/versions":                          (*Registry).getVersions,
		"GET /subjects/{subject}/versions/{version}":                (*Registry).getVersion,
		"POST /subjects/{subject}":                                  (*Registry).postLookup,
		"POST /subjects/{subject}/versions":                         (*Registry).postVersion,
		"DELETE /subjects/{subject}":                                (*Registry).deleteSubject,
		"DELETE /subjects/{subject}/versions/{version}":             (*Registry).deleteVersion,
		"POST /compatibility/subjects/{subject}/versions":           (*Registry).postCompatibility,
		"POST /compatibility/subjects/{subject}/versions/{version}": (*Registry).postCompatibility,
		"GET /config":                                               (*Registry).getConfig,
		"GET /config/{subject}":                                     (*Registry).getConfig,
		"PUT /config":                                               (*Registry).putConfig,
		"PUT /config/{subject}":                                     (*Registry).putConfig,
		"DELETE /config":                                            (*Registry).deleteConfig,
		"DELETE /config/{subject}":                                  (*Registry).deleteConfig,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
			out, err := f(r, req)
			answer(w, out, err)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		answer(w, nil, &Fault{http.StatusNotFound, 404, "HTTP 404 Not Found"})
	})
	return mux
}

type mode struct {
	Mode string `json:"mode"`
}

// allowed checks the basic authentication.
func (r *Registry) allowed(req *http.Request) bool {
	if r.config.User == "" {
		return true
	}
	user, password, _ := req.BasicAuth()
	same := subtle.ConstantTimeCompare([]byte(user), []byte(r.config.User))
	return same&subtle.ConstantTimeCompare([]byte(password), []byte(r.config.Password)) == 1
}

// answer writes a result or a fault.
func answer(w http.ResponseWriter, out any, err error) {
	if err != nil {
		var f *Fault
		if !errors.As(err, &f) {
			f = &Fault{http.StatusInternalServerError, 500, err.Error()}
		}
		w.WriteHeader(f.Status)
		out = f
	}
	// A client that has gone does not need the rest.
	_ = json.NewEncoder(w).Encode(out)
}

// body reads the JSON of a request.
func body[T any](req *http.Request) (T, error) {
	var v T
	if err := json.NewDecoder(req.Body).Decode(&v); err != nil {
		return v, &Fault{http.StatusBadRequest, 400, "Unable to process JSON: " + err.Error()}
	}
	return v, nil
}

// flag reads a boolean of the query.
func flag(req *http.Request, name string) bool {
	return strings.EqualFold(req.URL.Query().Get(name), "true")
}

// number reads the path's version; latest is -1.
func number(req *http.Request) (int, error) {
	text := req.PathValue("version")
	if text == "latest" {
		return -1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n == 0 || n < -1 {
		return 0, badVersion(text)
	}
	return n, nil
}
