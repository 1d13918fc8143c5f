// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/util/protomarshal"
)

const (
	root = "../../../.."
	// No mTLS between proxies, for want of certificates (mesh.yaml).
	meshOfTests = "\nenableAutoMtls: false\n"
)

// A proxy of cluster.yaml, and the file of deploy/istio that is for it.
type proxy struct {
	kind      model.NodeType
	pod       string
	namespace string
	address   string
	labels    map[string]string
	files     []string
}

var proxies = map[string]proxy{
	"gateway": {model.Router, "gateway-1", "istio-system", "10.1.0.30", map[string]string{"istio": "ingressgateway"},
		[]string{"gateway.yaml"}},
	"sidecar": {model.SidecarProxy, "shop-1", "demo", "10.1.0.20", map[string]string{"app": "shop"},
		[]string{"sidecar.yaml"}},
}

// A way to the node's synauthz: its MeshConfig and resources in deploy/istio, and what it needs of deploy/kubernetes.
type way struct {
	mesh       string
	istio      string
	kubernetes []string
}

var ways = map[string]way{
	"socket":  {"mesh-config-socket.yaml", "socket.yaml", nil},
	"service": {"mesh-config-service.yaml", "service.yaml", []string{"service/service.yaml"}},
}

// What a proxy subscribes to; each list in the order of names, each resource as istiod sends it.
type dump struct {
	Clusters  []json.RawMessage `json:"clusters"`
	Endpoints []json.RawMessage `json:"endpoints"`
	Listeners []json.RawMessage `json:"listeners"`
	Routes    []json.RawMessage `json:"routes"`
}

func TestRender(t *testing.T) {
	for proxyName, p := range proxies {
		for wayName, w := range ways {
			t.Run(proxyName+"-"+wayName, func(t *testing.T) {
				check(t, filepath.Join("..", t.Name()[len("TestRender/"):]+".json"), render(t, p, w))
			})
		}
	}
}

// Compares with the committed file, or with REGENERATE=1 writes it.
func check(t *testing.T, path string, rendered []byte) {
	if os.Getenv("REGENERATE") != "" {
		if err := os.WriteFile(path, rendered, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if committed := read(t, path); committed != string(rendered) {
		t.Errorf("%s is not what istiod renders from deploy/istio: run ./regenerate", path)
	}
}

func render(t *testing.T, p proxy, w way) []byte {
	server := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
		MeshConfig:             meshConfig(t, w),
		ConfigString:           documents(t, "mesh.yaml", istio(w.istio, p.files...)...),
		KubernetesObjectString: documents(t, "cluster.yaml", kubernetes(w.kubernetes)...),
	})
	node := server.SetupProxy(&model.Proxy{
		Type:            p.kind,
		ID:              p.pod + "." + p.namespace,
		IPAddresses:     []string{p.address},
		ConfigNamespace: p.namespace,
		Labels:          p.labels,
		Locality:        &core.Locality{},
		Metadata: &model.NodeMetadata{
			Namespace: p.namespace,
			Labels:    p.labels,
			NodeName:  "node-a", // decides which endpoints a Local Service has
			ClusterID: "Kubernetes",
		},
	})
	text, err := json.MarshalIndent(dump{
		Clusters:  sorted(t, server.Clusters(node)),
		Endpoints: sorted(t, server.Endpoints(node)),
		Listeners: sorted(t, server.Listeners(node)),
		Routes:    sorted(t, server.Routes(node)),
	}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func meshConfig(t *testing.T, w way) *meshconfig.MeshConfig {
	text := read(t, filepath.Join(root, "deploy/istio", w.mesh)) + meshOfTests
	// strictly first: what istiod itself does not know it passes over
	if err := protomarshal.ApplyYAMLStrict(text, &meshconfig.MeshConfig{}); err != nil {
		t.Fatalf("%s: %v", w.mesh, err)
	}
	config, err := mesh.ApplyMeshConfigDefaults(text)
	if err != nil {
		t.Fatalf("%s: %v", w.mesh, err)
	}
	config.DefaultProviders = nil // no metrics filters, which only istio-proxy has
	return config
}

func istio(first string, more ...string) (paths []string) {
	for _, name := range append([]string{first}, more...) {
		paths = append(paths, filepath.Join(root, "deploy/istio", name))
	}
	return paths
}

func kubernetes(names []string) (paths []string) {
	for _, name := range names {
		paths = append(paths, filepath.Join(root, "deploy/kubernetes", name))
	}
	return paths
}

// The files as one YAML stream.
func documents(t *testing.T, first string, more ...string) string {
	var texts []string
	for _, path := range append([]string{first}, more...) {
		texts = append(texts, read(t, path))
	}
	return strings.Join(texts, "\n---\n")
}

func read(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// As JSON, by name.  protojson varies its spaces on purpose, so that they are taken out.
func sorted[T protomarshal.ComparableMessage](t *testing.T, messages []T) []json.RawMessage {
	texts := []json.RawMessage{}
	for _, message := range messages {
		text, err := protomarshal.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, text); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, compact.Bytes())
	}
	slices.SortFunc(texts, func(a, b json.RawMessage) int { return cmp.Compare(name(t, a), name(t, b)) })
	return texts
}

func name(t *testing.T, text json.RawMessage) string {
	var named struct{ Name, ClusterName string }
	if err := json.Unmarshal(text, &named); err != nil {
		t.Fatal(err)
	}
	return named.Name + named.ClusterName
}
