/** `nd run`: the device, in this process. */
export async function runCommand(config: string, options: { events: boolean }): Promise<void> {
  const { runDeviceProcess } = await import('../../runtime/main.js');
  await runDeviceProcess(config, options);
}
