package kafka

import (
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestSinkReal runs the suite at a real Apache Kafka and a real Apicurio Registry, in the full suite.
func TestSinkReal(t *testing.T) {
	if !pipetest.Full() {
		return
	}
	suite(t, &cluster{brokers: []string{pipetest.ApacheKafka(t).Addr}, registry: pipetest.Apicurio(t)})
}
