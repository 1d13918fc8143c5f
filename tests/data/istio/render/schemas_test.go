// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// What deploy/istio consists of.
var kinds = map[string]string{
	"AuthorizationPolicy": "v1",
	"DestinationRule":     "v1",
	"EnvoyFilter":         "v1alpha3",
	"ServiceEntry":        "v1",
}

// Takes the schemas of these kinds out of Istio's custom resource definitions, without their descriptions.
func TestSchemas(t *testing.T) {
	folder, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "istio.io/istio").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := read(t, filepath.Join(strings.TrimSpace(string(folder)), "manifests/charts/base/files/crd-all.gen.yaml"))
	schemas := map[string]any{}
	for _, text := range strings.Split(all, "\n---\n") {
		var definition apiextensions.CustomResourceDefinition
		if err := yaml.Unmarshal([]byte(text), &definition); err != nil {
			t.Fatal(err)
		}
		for _, version := range definition.Spec.Versions {
			if kinds[definition.Spec.Names.Kind] == version.Name {
				name := definition.Spec.Group + "/" + version.Name + "/" + definition.Spec.Names.Kind
				schemas[name] = withoutDescriptions(t, version.Schema.OpenAPIV3Schema)
			}
		}
	}
	if len(schemas) != len(kinds) {
		t.Fatalf("found %d of %d kinds", len(schemas), len(kinds))
	}
	text, err := json.MarshalIndent(schemas, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	check(t, "../schemas.json", append(text, '\n'))
}

func withoutDescriptions(t *testing.T, schema *apiextensions.JSONSchemaProps) (plain any) {
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	return strip(plain)
}

// A property may itself be called "description": that one is a schema, not a text.
func strip(value any) any {
	switch value := value.(type) {
	case map[string]any:
		if _, isText := value["description"].(string); isText {
			delete(value, "description")
		}
		for key := range value {
			value[key] = strip(value[key])
		}
	case []any:
		for i := range value {
			value[i] = strip(value[i])
		}
	}
	return value
}
