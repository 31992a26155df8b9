package deploy

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// The overlays that there are, and one of this test with every component.
const (
	production  = "default"
	development = "development"
	loadtest    = "loadtest"
	everything  = "everything"
)

var overlays = []string{production, development, loadtest, everything}

// everythingYAML adds the optional components to the default overlay.
const everythingYAML = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: ringfleet
resources: [../default]
components: [../../components/monitoring, ../../components/hpa, ../../components/jwks, ../../components/tls]
secretGenerator:
  - name: ringfleet-clients # a cert-manager's, in a cluster
    type: kubernetes.io/tls
    files:
      - tls.crt=secrets/node.pem
      - tls.key=secrets/node-key.pem
`

// root is the root of the repository.
var root = filepath.Join("..", "..")

// tree is a copy of deploy/k8s with secrets, made once for all tests.
var tree = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ringfleet-deploy")
	if err != nil {
		return "", err
	}
	source := filepath.Join(root, "deploy", "k8s")
	err = filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == "secrets" { // an operator's
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(dir, name), 0o700)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), text, 0o600)
	})
	if err != nil {
		return dir, err
	}
	extra := filepath.Join(dir, "overlays", everything)
	if err := os.Mkdir(extra, 0o700); err != nil {
		return dir, err
	}
	if err := os.WriteFile(filepath.Join(extra, "kustomization.yaml"), []byte(everythingYAML), 0o600); err != nil {
		return dir, err
	}
	made, err := exec.Command("bash", filepath.Join(dir, "make-secrets"), filepath.Join(dir, "overlays", production, "secrets")).CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("make-secrets: %w: %s", err, made)
	}
	// What make-secrets makes for nodes will do for clients here.
	return dir, os.CopyFS(filepath.Join(extra, "secrets"), os.DirFS(filepath.Join(dir, "overlays", production, "secrets")))
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := tree(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	if dir, _ := binaries(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// decoder takes Kubernetes objects, and refuses fields that their types do not have or that come twice.
var decoder = sync.OnceValues(func() (runtime.Decoder, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, policyv1.AddToScheme, networkingv1.AddToScheme,
		autoscalingv2.AddToScheme, monitoringv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true}), nil
})

func decode(text []byte) (runtime.Object, error) {
	d, err := decoder()
	if err != nil {
		return nil, err
	}
	object, _, err := d.Decode(text, nil, nil)
	return object, err
}

var rendered = map[string][]runtime.Object{}

// render returns the objects of an overlay.
func render(t *testing.T, overlay string) []runtime.Object {
	t.Helper()
	if objects, ok := rendered[overlay]; ok {
		return objects
	}
	dir, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(dir, "overlays", overlay))
	if err != nil {
		t.Fatalf("%s does not render: %v", overlay, err)
	}
	var objects []runtime.Object
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object, err := decode(text)
		if err != nil {
			t.Fatalf("%s: %s: %v", overlay, r.CurId(), err)
		}
		objects = append(objects, object)
	}
	rendered[overlay] = objects
	return objects
}

// all returns an overlay's objects of a type.
func all[T runtime.Object](t *testing.T, overlay string) []T {
	t.Helper()
	var found []T
	for _, object := range render(t, overlay) {
		if o, ok := object.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

// one returns an overlay's only object of a type.
func one[T runtime.Object](t *testing.T, overlay string) T {
	t.Helper()
	found := all[T](t, overlay)
	if len(found) != 1 {
		t.Fatalf("%s has %d objects of type %T, want 1", overlay, len(found), *new(T))
	}
	return found[0]
}

// TestKinds renders each overlay, decodes every object strictly, and counts the kinds.
func TestKinds(t *testing.T) {
	node := []string{
		"ConfigMap", "Namespace", "NetworkPolicy", "NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "ServiceAccount", "StatefulSet",
	}
	cluster := slices.Concat(node, []string{"NetworkPolicy", "Secret", "Secret", "Secret", "Secret", "Service"})
	for overlay, want := range map[string][]string{
		production:  cluster,
		development: node,
		loadtest:    {"Job", "Namespace", "NetworkPolicy"},
		everything:  slices.Concat(cluster, []string{"HorizontalPodAutoscaler", "NetworkPolicy", "PrometheusRule", "Secret", "ServiceMonitor"}),
	} {
		var got []string
		for _, object := range render(t, overlay) {
			got = append(got, object.GetObjectKind().GroupVersionKind().Kind)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s has\n%v, want\n%v", overlay, got, want)
		}
	}
}

// TestDecodingBites shows what the decoder refuses.
func TestDecodingBites(t *testing.T) {
	good := "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\nspec:\n  clusterIP: None\n"
	if _, err := decode([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"unknown field": good + "  clusterIp: None\n",
		"field twice":   good + "  clusterIP: None\n",
		"wrong type":    good + "  ports: 3\n",
		"unknown kind":  strings.Replace(good, "Service", "Servise", 1),
	} {
		if _, err := decode([]byte(text)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestNoSecretsInRepository shows that the default overlay has no secrets of its own that could be used by mistake.
func TestNoSecretsInRepository(t *testing.T) {
	dir := t.TempDir()
	from, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlays", production)
	if err := os.RemoveAll(filepath.Join(overlay, "secrets")); err != nil {
		t.Fatal(err)
	}
	if _, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay); err == nil {
		t.Error("the default overlay renders without secrets that the operator has made")
	}
}
