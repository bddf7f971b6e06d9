/** What tests need of npm: `cargo xtask js` installs it, and says where it is. */

import { createRequire } from "node:module"
import path from "node:path"

const directory = process.env.ONCUE_JS_MODULES

/** For a test's `skip`: `false` where the packages are. */
export const skip = directory ? false : "ONCUE_JS_MODULES names no directory: run `cargo xtask js`"

const inModules = () => createRequire(path.join(directory, "package.json"))

export const load = (name) => inModules()(name)
export const locate = (name) => inModules().resolve(name)
