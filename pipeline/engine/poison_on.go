//go:build pipedebug

package engine

const poisonAlways = true
