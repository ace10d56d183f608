import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.lookoutvision.LookoutVisionClient;
import software.amazon.awssdk.services.lookoutvision.model.DetectAnomaliesRequest;
import software.amazon.awssdk.services.lookoutvision.model.DetectAnomalyResult;
import software.amazon.awssdk.services.lookoutvision.model.ModelDescription;
import software.amazon.awssdk.services.lookoutvision.model.ModelHostingStatus;
import software.amazon.awssdk.services.lookoutvision.model.ModelMetadata;
import software.amazon.awssdk.services.lookoutvision.model.ModelStatus;
import software.amazon.awssdk.services.lookoutvision.model.ResourceNotFoundException;

/**
 * What a program of Lookout for Vision's Java users does in a day, one printed line a step: java Inspect PROJECT PHOTO.
 *
 * Setup.client() is made of the lines that `relook client-setup` prints.
 */
public class Inspect {
    private static final String VERSION = "1";

    public static void main(String[] arguments) throws IOException, InterruptedException {
        String project = arguments[0];
        Path photo = Path.of(arguments[1]);
        try (LookoutVisionClient client = Setup.client()) {
            ModelHostingStatus starting =
                    client.startModel(r -> r.projectName(project).modelVersion(VERSION).minInferenceUnits(1)).status();
            System.out.println("start " + starting);
            while (model(client, project).status() != ModelStatus.HOSTED) {
                Thread.sleep(100);
            }

            System.out.println(String.format(Locale.ROOT, "f1 %.1f", model(client, project).performance().f1Score()));

            SdkBytes bytes;
            try (InputStream stream = Files.newInputStream(photo)) {
                bytes = SdkBytes.fromInputStream(stream);
            }
            String contentType = URLConnection.guessContentTypeFromStream(new ByteArrayInputStream(bytes.asByteArray()));
            DetectAnomaliesRequest request = DetectAnomaliesRequest.builder()
                    .projectName(project).modelVersion(VERSION).contentType(contentType).build();
            print("bytes", client.detectAnomalies(request, RequestBody.fromBytes(bytes.asByteArray()))
                    .detectAnomalyResult());
            print("path", client.detectAnomalies(request, photo).detectAnomalyResult());

            for (ModelMetadata model : client.listModelsPaginator(r -> r.projectName(project).maxResults(1)).models()) {
                System.out.println("model " + model.modelVersion());
            }
            try {
                client.describeModel(r -> r.projectName(project).modelVersion("99"));
            } catch (ResourceNotFoundException error) {
                System.out.println("error " + error.statusCode() + " " + error.resourceTypeAsString());
            }
            System.out.println("stop " + client.stopModel(r -> r.projectName(project).modelVersion(VERSION)).status());
        }
    }

    private static ModelDescription model(LookoutVisionClient client, String project) {
        return client.describeModel(r -> r.projectName(project).modelVersion(VERSION)).modelDescription();
    }

    private static void print(String how, DetectAnomalyResult result) {
        String types = String.join(",", result.anomalies().stream().map(each -> each.name()).toList());
        int mask = result.anomalyMask().asByteArray().length;
        System.out.println(String.format(
                Locale.ROOT, "%s %b %.6f %s %d", how, result.isAnomalous(), result.confidence(), types, mask));
    }
}
