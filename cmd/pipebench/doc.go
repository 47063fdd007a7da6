// Command pipebench measures pipe beside what it is to be compared with, in one run on one machine:
// it starts private servers, writes a workload, and has each reader read the same WAL in turn.
// Quote its ratios and the CPU per row, not single absolute times.
package main
