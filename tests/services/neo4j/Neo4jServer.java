import java.nio.file.Path;
import org.neo4j.configuration.GraphDatabaseSettings;
import org.neo4j.configuration.connectors.BoltConnector;
import org.neo4j.configuration.helpers.SocketAddress;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;

/** Neo4j Community from its published jars, Bolt on loopback: java -cp 'lib/*' Neo4jServer.java HOME PORT DATABASE */
public class Neo4jServer {
  public static void main(String[] arguments) throws InterruptedException {
    var address = new SocketAddress("127.0.0.1", Integer.parseInt(arguments[1]));
    var service = new DatabaseManagementServiceBuilder(Path.of(arguments[0]))
        .setConfig(BoltConnector.enabled, true)
        .setConfig(BoltConnector.listen_address, address)
        .setConfig(GraphDatabaseSettings.initial_default_database, arguments[2])
        .setConfig(GraphDatabaseSettings.auth_enabled, true)
        // Embedded, LOAD CSV may read any file of this machine unless told otherwise.
        .setConfig(GraphDatabaseSettings.allow_file_urls, false)
        .build();
    Runtime.getRuntime().addShutdownHook(new Thread(service::shutdown));
    Thread.currentThread().join();
  }
}
