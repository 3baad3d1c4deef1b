/** One test or step of a JUnit report. */
export interface TestCase {
  name: string;
  outcome: "passed" | "failed" | "ignored";
  seconds: number;
}

/** Counts of one run of `deno test`. */
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

/** Reads the tests and steps of a JUnit report as Deno writes it. */
export function readTestCases(xml: string): TestCase[] {
  // Output of a test, which could look like anything, is escaped in the report.
  const cases = xml.matchAll(/<testcase\b([^>]*?)(\/>|>([\s\S]*?)<\/testcase>)/g);
  return [...cases].map(([, attributes = "", , body = ""]) => ({
    name: unescapeXml(attributes.match(/\bname="([^"]*)"/)?.[1] ?? "?"),
    outcome: /<(failure|error)\b/.test(body) ? "failed" : /<skipped\b/.test(body) ? "ignored" : "passed",
    seconds: Number(attributes.match(/\btime="([\d.]*)"/)?.[1] ?? NaN),
  }));
}

/** Counts the tests and steps of a JUnit report. */
export function readJunitReport(xml: string): TestCounts {
  const cases = readTestCases(xml);
  const having = (outcome: TestCase["outcome"]) => cases.filter((test) => test.outcome === outcome);
  return {
    passed: having("passed").length,
    failed: having("failed").length,
    ignored: having("ignored").map(({ name }) => name),
  };
}
