// ReDoc over the document of this API. It gets the document, not its address: to an address it would add buttons that
// hand it to services elsewhere. What it would tell its maker about its use stays here.
import { init } from "./redoc-3.0.1.js";

const url = "/functions/v1/docs/openapi.json";
const openApiDocument = await (await fetch(url)).json();
init(
  openApiDocument,
  { disableTelemetry: true, downloadUrls: [{ title: "openapi.json", url }] },
  document.getElementById("redoc"),
);
