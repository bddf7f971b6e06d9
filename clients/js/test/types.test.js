/** The types, checked by TypeScript, and that they name what the modules have. */

import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { test } from "node:test"
import { promisify } from "node:util"

import * as portable from "../oncue.js"
import * as node from "../node.js"
import { locate, skip } from "./modules.js"

const here = (name) => new URL(name, import.meta.url)

test("TypeScript accepts what is right and refuses what is wrong", { skip }, async () => {
  const flags = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom,dom.asynciterable"]
  const modules = ["--module", "nodenext", "--moduleResolution", "nodenext"]
  const files = ["types/right.ts", "types/wrong.ts"].map((name) => here(name).pathname)
  const run = promisify(execFile)(process.execPath, [locate("typescript/bin/tsc"), ...flags, ...modules, ...files])
  await run.catch(({ stdout }) => assert.fail(stdout))
})

test("each export and each member has a type", async () => {
  for (const [module, types] of [[portable, ["../oncue.d.ts"]], [node, ["../oncue.d.ts", "../node.d.ts"]]]) {
    const text = (await Promise.all(types.map((name) => readFile(here(name), "utf8")))).join("\n")
    for (const [name, exported] of Object.entries(module)) {
      assert.match(text, new RegExp(`export declare class ${name}\\b`))
      const members = Object.getOwnPropertyNames(exported.prototype).filter((member) => member !== "constructor")
      for (const member of members) assert.match(text, new RegExp(`^  (get |readonly )?${member}[(:<?]`, "m"), `${name}.${member}`)
    }
  }
})
