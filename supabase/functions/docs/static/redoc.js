// ReDoc over the document of this API; what it would tell others about its use stays here.
import { init } from "./redoc-3.0.1.js";

init("/functions/v1/docs/openapi.json", { disableTelemetry: true }, document.getElementById("redoc"));
