package mariadb

import (
	"os"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

var maria *pipetest.Maria

func TestMain(m *testing.M) {
	os.Exit(pipetest.RunWithMariaDB(m, &maria, "max_connections=200"))
}
