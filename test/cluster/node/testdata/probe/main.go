// Command probe looks at the network from inside a pod: it asks the API server
// by its service's name, with the pod's service account, and a server outside
// of the cluster by the name of its service.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	for _, url := range []string{"https://kubernetes.default.svc/api/v1/namespaces/default/pods", os.Args[1]} {
		status, body, err := get(url)
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Printf("%s: %d %s\n", url, status, body)
	}
}

func get(url string) (int, string, error) {
	ca, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return 0, "", err
	}
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return 0, "", err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+string(token))
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 60))
	return resp.StatusCode, string(body), err
}
