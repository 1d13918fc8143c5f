// SPDX-License-Identifier: Apache-2.0

// Package render holds the program that makes ../{gateway,sidecar}-{socket,service}.json: what istiod tells an ingress
// gateway and an application's sidecar when deploy/istio is applied to a small cluster (cluster.yaml).
//
// It is istiod itself, in this process and without a cluster, that reads the very files of deploy/istio.  The program has
// the form of a Go test because istiod's own test server asks for one.  ./regenerate runs it, on demand: the first build
// takes about a quarter of an hour of CPU time.
package render
