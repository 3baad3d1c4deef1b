/** How one run of `deno test` went. */
export interface TestCounts {
  passed: number;
  failed: number;
  /** Names of the tests that did not run. */
  ignored: string[];
}

function unescapeXml(text: string): string {
  const entities: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (whole, name) => entities[name] ?? whole);
}

/** Counts the tests of a JUnit report as Deno writes it: one `testcase` for each test and step. */
export function readJunitReport(xml: string): TestCounts {
  const counts: TestCounts = { passed: 0, failed: 0, ignored: [] };
  // Output of a test, which could look like anything, is escaped in the report.
  for (const [, attributes = "", , body = ""] of xml.matchAll(/<testcase\b([^>]*?)(\/>|>([\s\S]*?)<\/testcase>)/g)) {
    if (/<(failure|error)\b/.test(body)) counts.failed++;
    else if (/<skipped\b/.test(body)) {
      counts.ignored.push(unescapeXml(attributes.match(/\bname="([^"]*)"/)?.[1] ?? "?"));
    } else counts.passed++;
  }
  return counts;
}
