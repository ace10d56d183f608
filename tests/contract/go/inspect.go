// Inspect is what a program of Lookout for Vision's Go users does in a day, one printed line a step:
//
//	inspect PROJECT PHOTO
//
// setup() is made of the lines that `relook client-setup` prints.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/lookoutforvision"
)

const version = "1"

func main() {
	if err := inspect(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func inspect(project, photo string) error {
	client := setup()
	started, err := client.StartModel(&lookoutforvision.StartModelInput{
		ProjectName: &project, ModelVersion: aws.String(version), MinInferenceUnits: aws.Int64(1),
	})
	if err != nil {
		return err
	}
	fmt.Println("start", *started.Status)
	model := &lookoutforvision.DescribeModelInput{ProjectName: &project, ModelVersion: aws.String(version)}
	for {
		described, err := client.DescribeModel(model)
		if err != nil {
			return err
		}
		if *described.ModelDescription.Status == lookoutforvision.ModelStatusHosted {
			fmt.Printf("f1 %.1f\n", *described.ModelDescription.Performance.F1Score)
			break
		}
		time.Sleep(100 * time.Millisecond)
	}

	data, err := os.ReadFile(photo)
	if err != nil {
		return err
	}
	file, err := os.Open(photo)
	if err != nil {
		return err
	}
	defer file.Close()
	for _, source := range []struct {
		how  string
		body io.ReadSeeker
	}{{"bytes", bytes.NewReader(data)}, {"path", file}} {
		detected, err := client.DetectAnomalies(&lookoutforvision.DetectAnomaliesInput{
			ProjectName: &project, ModelVersion: aws.String(version),
			ContentType: aws.String(http.DetectContentType(data)), Body: source.body,
		})
		if err != nil {
			return err
		}
		result := detected.DetectAnomalyResult
		var types []string
		for _, anomaly := range result.Anomalies {
			types = append(types, *anomaly.Name)
		}
		fmt.Printf("%s %t %.6f %s %d\n", source.how, *result.IsAnomalous, *result.Confidence,
			strings.Join(types, ","), len(result.AnomalyMask))
	}

	pages := &lookoutforvision.ListModelsInput{ProjectName: &project, MaxResults: aws.Int64(1)}
	err = client.ListModelsPages(pages, func(page *lookoutforvision.ListModelsOutput, _ bool) bool {
		for _, each := range page.Models {
			fmt.Println("model", *each.ModelVersion)
		}
		return true
	})
	if err != nil {
		return err
	}
	_, err = client.DescribeModel(&lookoutforvision.DescribeModelInput{
		ProjectName: &project, ModelVersion: aws.String("99"),
	})
	var missing *lookoutforvision.ResourceNotFoundException
	if errors.As(err, &missing) {
		fmt.Println("error", missing.StatusCode(), *missing.ResourceType)
	}
	stopped, err := client.StopModel(&lookoutforvision.StopModelInput{
		ProjectName: &project, ModelVersion: aws.String(version),
	})
	if err != nil {
		return err
	}
	fmt.Println("stop", *stopped.Status)
	return nil
}
