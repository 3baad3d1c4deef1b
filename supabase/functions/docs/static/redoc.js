// Shows the document of this API in ReDoc. ReDoc gets the document, not its URL: for a URL it would add links to external
// services. Telemetry is off.
import { init } from "./redoc@3.0.1/redoc.standalone.js";

const url = "/functions/v1/docs/openapi.json";
const openApiDocument = await (await fetch(url)).json();
init(
  openApiDocument,
  { disableTelemetry: true, downloadUrls: [{ title: "openapi.json", url }] },
  document.getElementById("redoc"),
);
