package registry

import (
	"fmt"
	"net/http"
)

// Fault is an error as the API answers it.
type Fault struct {
	Status  int    `json:"-"` // HTTP status
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// Error returns the message.
func (f *Fault) Error() string { return f.Message }

func noSubject(name string) *Fault {
	return &Fault{http.StatusNotFound, 40401, fmt.Sprintf("Subject '%s' not found.", name)}
}

func noVersion(v any) *Fault {
	return &Fault{http.StatusNotFound, 40402, fmt.Sprintf("Version %v not found.", v)}
}

func noSchema() *Fault { return &Fault{http.StatusNotFound, 40403, "Schema not found"} }

func notSoftDeleted(name string) *Fault {
	return &Fault{http.StatusNotFound, 40405,
		fmt.Sprintf("Subject '%s' was not deleted first before being permanently deleted", name)}
}

func noSubjectLevel(name string) *Fault {
	return &Fault{http.StatusNotFound, 40408,
		fmt.Sprintf("Subject '%s' does not have subject-level compatibility configured", name)}
}

func incompatible(subject string, reasons []string) *Fault {
	return &Fault{http.StatusConflict, 409, fmt.Sprintf(
		"Schema being registered is incompatible with an earlier schema for subject \"%s\", details: %v",
		subject, reasons)}
}

func badSchema(err error) *Fault {
	return &Fault{http.StatusUnprocessableEntity, 42201, "Invalid schema: " + err.Error()}
}

func badVersion(v string) *Fault {
	return &Fault{http.StatusUnprocessableEntity, 42202, fmt.Sprintf("The specified version '%s' is not "+
		"a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"", v)}
}

func badLevel() *Fault {
	return &Fault{http.StatusUnprocessableEntity, 42203, "Invalid compatibility level. Valid values are none, " +
		"backward, forward, full, backward_transitive, forward_transitive, and full_transitive"}
}

func storeFailed(err error) *Fault {
	return &Fault{http.StatusInternalServerError, 50001, "Error in the backend data store: " + err.Error()}
}
